import { type Body, type Client, newDevice } from './client.ts'
import { startTwoServers } from './two-servers.ts'

/**
 * The main job, told and verified step by step: a device that alice's server never heard of, a refresh, and the same with
 * bob's server down and coming back. Exits 0 only if every step was seen to be true.
 */
async function main(): Promise<void> {
  const story = storyteller()
  story.say('Two Evergreens on this machine. Alice lives on one, bob on the other; they share an encrypted chat.')
  const { aliceServer, bobServer, shareRoom, loseUpdates, stop } = await startTwoServers()
  try {
    const alice = await newDevice(aliceServer.baseUrl(), 'alice', 'demo password', "alice's laptop")
    const phone = await newDevice(bobServer.baseUrl(), 'bob', 'demo password', "bob's phone")
    await shareRoom(alice.userId, phone.userId)
    await alice.sync(0)

    await story.step("alice's server knows bob's phone", async () => {
      expect(await devicesSeenBy(alice, phone.userId), [phone.deviceId])
    })

    story.say('\nBob gets a tablet. The update that his server sends about it is lost on the way.')
    const updates = loseUpdates()
    const tablet = await newDevice(bobServer.baseUrl(), 'bob', 'demo password', "bob's tablet")
    await story.step('the update was sent, and lost', () => updates.lost())
    await story.step("alice's server does not know the tablet: what she writes now, it cannot read", async () => {
      expect(await devicesSeenBy(alice, phone.userId), [phone.deviceId])
    })

    story.say('\nAlice asks her server to fetch the list again.')
    await alice.sync(0)
    await story.step('POST …/devices/refresh answers 202 {}', async () => {
      const { status, body } = await refresh(alice, phone.userId)
      expect([status, body], [202, {}])
    })
    await story.step('her next /sync names bob in device_lists.changed', async () => {
      expect((await alice.sync(5_000)).device_lists.changed, [phone.userId])
    })
    await story.step('/keys/query has the tablet', async () => {
      expect(await devicesSeenBy(alice, phone.userId), [phone.deviceId, tablet.deviceId])
    })

    story.say("\nBob gets a watch. Its update is lost too, and then bob's server goes down.")
    const watch = await newDevice(bobServer.baseUrl(), 'bob', 'demo password', "bob's watch")
    await story.step('the update was sent, and lost', () => updates.lost())
    await bobServer.stop()
    await story.step(
      'a refresh tells alice that the server cannot be reached, and that it will be tried again',
      async () => {
        const { status, body } = await refresh(alice, phone.userId)
        expect([status, body.errcode, body['org.matrix.msc2638.retry_scheduled']], [502, 'M_UNKNOWN', true])
      },
    )
    await story.step('the state of the list is "failing", with the time of the next try', async () => {
      const path = `/_matrix/client/unstable/org.matrix.msc2638/user/${encodeURIComponent(phone.userId)}/devices/refresh`
      const { body } = await alice.request('GET', path)
      expect([body.state, typeof body.next_attempt_at], ['failing', 'number'])
    })

    story.say("\nBob's server comes back. Alice does nothing but wait for news, as every client does.")
    await bobServer.start()
    await story.step('/sync names bob without anybody asking again', async () => {
      expect(await changedWithin(alice, 30_000), [phone.userId])
    })
    await story.step('/keys/query has the watch', async () => {
      expect(await devicesSeenBy(alice, phone.userId), [phone.deviceId, tablet.deviceId, watch.deviceId])
    })
    story.say('\nEvery step was verified.')
  } finally {
    await stop()
  }
}

/** Asks again and again until somebody is in `device_lists.changed`, for at most `withinMs` milliseconds. */
async function changedWithin(client: Client, withinMs: number): Promise<string[]> {
  const deadline = Date.now() + withinMs
  while (Date.now() < deadline) {
    const { changed } = (await client.sync(deadline - Date.now())).device_lists
    if (changed.length > 0) return changed
  }
  return []
}

function refresh(client: Client, userId: string): Promise<{ status: number; body: Body }> {
  const path = `/_matrix/client/unstable/org.matrix.msc2638/user/${encodeURIComponent(userId)}/devices/refresh`
  return client.request('POST', path)
}

async function devicesSeenBy(client: Client, userId: string): Promise<string[]> {
  const { body } = await client.request('POST', '/_matrix/client/v3/keys/query', { device_keys: { [userId]: [] } })
  return Object.keys(body.device_keys?.[userId] ?? {})
}

function expect(found: unknown, wanted: unknown): void {
  const text = (value: unknown) => JSON.stringify(Array.isArray(value) ? value.toSorted?.() : value)
  if (text(found) !== text(wanted))
    throw new Error(`expected ${JSON.stringify(wanted)}, found ${JSON.stringify(found)}`)
}

function storyteller(): {
  say(text: string): void
  step(what: string, verify: () => Promise<void> | void): Promise<void>
} {
  const colour = process.stdout.isTTY && !process.env.NO_COLOR
  const paint = (code: number, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text)
  return {
    say: (text) => console.log(text),
    async step(what, verify) {
      try {
        await verify()
      } catch (error) {
        console.log(`  ${paint(31, '✗')} ${what}`)
        throw error
      }
      console.log(`  ${paint(32, '✓')} ${what}`)
    },
  }
}

await main().catch((error: unknown) => {
  console.error(`\nThe demonstration failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
