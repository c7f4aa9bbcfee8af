import assert from 'node:assert/strict'
import { refreshDeviceList } from '@evergreen/client'
import { eventually } from '../interop/clients.ts'
import { type Device, meet, PATIENCE_MS, signIn, write } from './people.ts'
import type { Servers } from './servers.ts'
import type { Telling } from './telling.ts'

/** What may be spoilt on purpose, so that it is known that the story can fail. */
const SPOILT = ['nothing hidden', 'no refresh'] as const
export type Spoilt = (typeof SPOILT)[number]
export const isSpoilt = (text: string): text is Spoilt => (SPOILT as readonly string[]).includes(text)

/**
 * The main job with real encryption: a device that alice's server never heard of, a message that it cannot read, a refresh,
 * and one that it can; then the same with bob's server down and coming back. Every step is verified.
 */
export async function tellStory({ alices, bobs, proxy }: Servers, telling: Telling, spoilt?: Spoilt): Promise<void> {
  const { chapter, step } = telling
  const devices: Device[] = []
  const signsIn = async (baseUrl: string, who: Parameters<typeof signIn>[1]) => {
    const device = await signIn(baseUrl, who)
    devices.push(device)
    return device
  }
  try {
    chapter(
      'Two people on two homeservers',
      `Alice is on an Evergreen, bob on ${bobs.kind === 'Synapse' ? 'a real Synapse' : 'another Evergreen'}, both on this machine.`,
      'What they write is encrypted on their own devices, for each device of the other one. Which devices those',
      'are, alice’s homeserver asks of bob’s, and keeps a copy of his list.',
    )
    const alice = await step('alice signs in', () => signsIn(alices.baseUrl, { username: 'alice' }))
    const phone = await step('bob signs in on his phone', () => signsIn(bobs.baseUrl, { username: 'bob' }))
    const bob = phone.userId
    const room = await step('they meet in an encrypted room', () => meet(alice, phone))
    const writes = (text: string) => () => write(alice, room, text)
    const canRead = (device: Device, eventId: string, text: string) => async () =>
      assert.equal(await device.reads(room, eventId), text)
    const first = await step('alice writes', writes('Hello bob!'))
    await step('bob reads it on his phone', canRead(phone, first, 'Hello bob!'), () => '“Hello bob!”')

    chapter(
      'A device that alice’s homeserver does not know',
      'Bob signs in on a tablet. His homeserver sends word of it to alice’s; it gets lost on the way, as it does when a',
      'server restarts at the wrong moment or a proxy gives up.',
    )
    proxy.losing = spoilt !== 'nothing hidden'
    const tablet = await step('bob signs in on his tablet', () => signsIn(bobs.baseUrl, { userId: bob }))
    await step('word of it was sent, and lost', () => loses(proxy, 0))
    await step(
      'alice’s homeserver still thinks that the phone is all he has',
      async () => assert.deepEqual(await alice.devicesOf(bob), [phone.deviceId]),
      () => phone.deviceId,
    )
    const second = await step('alice writes', writes('Lunch at noon?'))
    await step('on the phone it can be read', canRead(phone, second, 'Lunch at noon?'), () => '“Lunch at noon?”')
    await step(
      'on the tablet it cannot: it was not encrypted for it',
      canRead(tablet, second, 'unreadable'),
      () => '“Unable to decrypt”',
    )

    chapter('A refresh', 'Alice’s client asks her homeserver to fetch bob’s list again. This is what Evergreen is for.')
    await step(
      'the refresh has arrived: the list was fetched, a sync told of it, her client has the new keys',
      async () => {
        if (spoilt !== 'no refresh') {
          const refresh = await refreshDeviceList(alice.client, bob, { timeoutMs: PATIENCE_MS })
          assert.equal(refresh.outcome, 'arrived', JSON.stringify(refresh))
        }
        const both = [phone.deviceId, tablet.deviceId].sort()
        assert.deepEqual(await alice.devicesInStore(bob), both)
        return both
      },
      (both) => both.join(', '),
    )
    const third = await step('alice writes', writes('I said: lunch at noon?'))
    await step(
      'now the tablet can read it',
      canRead(tablet, third, 'I said: lunch at noon?'),
      () => '“I said: lunch at noon?”',
    )

    chapter(
      'The same with bob’s homeserver down',
      'Bob signs in on a watch. Word of it gets lost again, and then his homeserver goes down.',
    )
    const { lost } = proxy
    const watch = await step('bob signs in on his watch', () => signsIn(bobs.baseUrl, { userId: bob }))
    await step('word of it was sent, and lost', () => loses(proxy, lost))
    for (const device of [phone, tablet]) device.client.stopClient()
    await step('bob’s homeserver stops', bobs.stop)
    await step(
      'a refresh says what is wrong, and that it will be tried again',
      async () => {
        const refresh = await refreshDeviceList(alice.client, bob, { timeoutMs: PATIENCE_MS })
        assert.equal(refresh.outcome, 'failed', JSON.stringify(refresh))
        assert.ok(refresh.outcome === 'failed' && refresh.retryScheduled && refresh.retryAfterMs !== null)
        return refresh
      },
      ({ error, retryAfterMs }) => `“${error}”; the next try is in ${(retryAfterMs! / 1000).toFixed(1)} s`,
    )
    await step('bob’s homeserver is back', bobs.start)
    await step('alice’s client has the watch, and nobody has asked again', () =>
      eventually(
        'the list comes by itself',
        async () => (await alice.devicesInStore(bob)).includes(watch.deviceId),
        PATIENCE_MS * 2,
      ),
    )
    const fourth = await step('alice writes', writes('See you!'))
    await step('the watch can read it', canRead(watch, fourth, 'See you!'), () => '“See you!”')
  } finally {
    for (const { client } of devices) client.stopClient()
  }
}

/** Whoever waits for what does not come need not wait long. */
const SPOILT_MS = 1_000

const loses = (proxy: Servers['proxy'], before: number) =>
  eventually('the transaction comes by', async () => proxy.lost > before, proxy.losing ? PATIENCE_MS : SPOILT_MS)
