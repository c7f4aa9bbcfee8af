// Rooms shared with a real Synapse, in both directions: everything once with the room on either side.

import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { ClientEvent, type MatrixClient, type MatrixEvent, MatrixEventEvent } from 'matrix-js-sdk'
import { type Account, eventually, queryKeys, register, startCryptoClient } from './clients.ts'
import { type Evergreen, startEvergreen } from './evergreen.ts'
import { type InRooms, inRooms, saying } from './room-client.ts'
import { type Synapse, skipWithoutSynapse, startSynapse } from './synapse.ts'

const skip = skipWithoutSynapse()
/** A destination that was down is asked again soon (ms). */
const SETTINGS = { EVERGREEN_DEVICE_LISTS_RETRY_CAP_EARLY: '2000' }

type Servers = { synapse: Synapse; evergreen: Evergreen }
type Homeserver = Synapse | Evergreen

async function startServers(t: TestContext): Promise<Servers> {
  const synapse = await startSynapse()
  t.after(synapse.remove)
  const evergreen = await startEvergreen(synapse, SETTINGS)
  t.after(evergreen.remove)
  return { synapse, evergreen }
}

let people = 0
async function personOn(server: Homeserver): Promise<InRooms> {
  return inRooms(await register(server.baseUrl, { username: `person${people++}` }))
}

/** `host` has the room, `guest` comes from the other server. */
type Direction = { name: string; host: (servers: Servers) => Homeserver; guest: (servers: Servers) => Homeserver }
const directions: Direction[] = [
  { name: 'a room on Evergreen', host: (servers) => servers.evergreen, guest: (servers) => servers.synapse },
  { name: 'a room on Synapse', host: (servers) => servers.synapse, guest: (servers) => servers.evergreen },
]

for (const { name, host, guest } of directions) {
  describe(name, { skip }, () => {
    for (const version of ['6', '10', '11', '12']) {
      test(`version ${version}: join, talk both ways, redact, leave`, async (t) => {
        const servers = await startServers(t)
        const [alice, bob] = [await personOn(host(servers)), await personOn(guest(servers))]
        const roomId = await alice.create({ preset: 'public_chat', room_version: version, name: 'Together' })
        await alice.say(roomId, 'before anybody came')
        await bob.join(roomId, host(servers).serverName)
        assert.equal((await bob.state(roomId, 'm.room.name')).body.name, 'Together')
        await bob.sees(roomId, 'history from before the join', saying('before anybody came'))
        await bob.say(roomId, 'from afar')
        await alice.sees(roomId, 'a message from the guest', saying('from afar'))
        const eventId = await alice.say(roomId, 'from here')
        await bob.sees(roomId, 'a message from the host', saying('from here'))
        await alice.redact(roomId, eventId)
        await bob.sees(roomId, 'the redaction', (event) => event.event_id === eventId && !('body' in event.content))
        await bob.leave(roomId)
        await eventually('the host sees the guest leave', async () => {
          return (await alice.membershipOf(roomId, bob.account.userId)) === 'leave'
        })
      })
    }

    test('invitations, refused and accepted; kick, ban, and back again', async (t) => {
      const servers = await startServers(t)
      const [alice, bob] = [await personOn(host(servers)), await personOn(guest(servers))]
      const roomId = await alice.create({ preset: 'private_chat', name: 'By invitation' })
      const bobId = bob.account.userId
      const becomes = (membership: string) =>
        eventually(
          `${bobId} is seen as ${membership}`,
          async () => (await alice.membershipOf(roomId, bobId)) === membership,
        )
      await alice.member('invite', roomId, bobId)
      await bob.invitation(roomId)
      await bob.leave(roomId)
      await becomes('leave')
      await alice.member('invite', roomId, bobId)
      await bob.invitation(roomId)
      await bob.join(roomId, host(servers).serverName)
      await becomes('join')
      await alice.member('kick', roomId, bobId)
      await eventually('the guest is out', async () => (await bob.membershipOf(roomId, bobId)) !== 'join')
      await alice.member('ban', roomId, bobId)
      await becomes('ban')
      await alice.member('unban', roomId, bobId)
      await alice.member('invite', roomId, bobId)
      await bob.invitation(roomId)
      await bob.join(roomId, host(servers).serverName)
      await bob.say(roomId, 'back again')
      await alice.sees(roomId, 'the guest who is back', saying('back again'))
    })

    test('backfill of more than one page', async (t) => {
      const servers = await startServers(t)
      const [alice, bob] = [await personOn(host(servers)), await personOn(guest(servers))]
      const roomId = await alice.create({ preset: 'public_chat' })
      for (let index = 0; index < 120; index++) await alice.say(roomId, `line ${index}`)
      await bob.join(roomId, host(servers).serverName)
      const seen = new Set<string>()
      let from = ''
      for (let page = 0; page < 20 && seen.size < 120; page++) {
        const path = `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=50${from}`
        const { chunk, end } = (await bob.ask('GET', path)) as { chunk: { content: { body?: string } }[]; end?: string }
        for (const { content } of chunk) if (content.body?.startsWith('line ')) seen.add(content.body)
        if (end === undefined) break
        from = `&from=${encodeURIComponent(end)}`
      }
      assert.equal(seen.size, 120)
    })

    test('a restricted join', async (t) => {
      const servers = await startServers(t)
      const [alice, bob] = [await personOn(host(servers)), await personOn(guest(servers))]
      const space = await alice.create({ preset: 'public_chat', creation_content: { type: 'm.space' } })
      const roomId = await alice.create({
        preset: 'private_chat',
        room_version: '10',
        initial_state: [
          {
            type: 'm.room.join_rules',
            state_key: '',
            content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
          },
        ],
      })
      await assert.rejects(bob.join(roomId, host(servers).serverName))
      await bob.join(space, host(servers).serverName)
      await bob.join(roomId, host(servers).serverName)
      await bob.say(roomId, 'let in')
      await alice.sees(roomId, 'who was let in', saying('let in'))
    })

    test('a room upgrade', async (t) => {
      const servers = await startServers(t)
      const [alice, bob] = [await personOn(host(servers)), await personOn(guest(servers))]
      const roomId = await alice.create({ preset: 'public_chat', room_version: '9', name: 'Old' })
      await bob.join(roomId, host(servers).serverName)
      const path = `/rooms/${encodeURIComponent(roomId)}/upgrade`
      const replacement = (await alice.ask('POST', path, { new_version: '11' })).replacement_room as string
      await eventually('the guest sees the tombstone', async () => {
        return (await bob.state(roomId, 'm.room.tombstone')).body.replacement_room === replacement
      })
      await bob.join(replacement, host(servers).serverName)
      assert.equal((await bob.state(replacement, 'm.room.name')).body.name, 'Old')
    })

    test('receipts and typing', async (t) => {
      const servers = await startServers(t)
      const [alice, bob] = [await personOn(host(servers)), await personOn(guest(servers))]
      const roomId = await alice.create({ preset: 'public_chat' })
      await bob.join(roomId, host(servers).serverName)
      const eventId = await alice.say(roomId, 'read this')
      await bob.sees(roomId, 'what is to be read', saying('read this'))
      const room = `/rooms/${encodeURIComponent(roomId)}`
      await bob.ask('POST', `${room}/receipt/m.read/${encodeURIComponent(eventId)}`, {})
      await alice.hears(roomId, 'm.receipt', bob.account.userId)
      await bob.ask('PUT', `${room}/typing/${encodeURIComponent(bob.account.userId)}`, {
        typing: true,
        timeout: 30_000,
      })
      await alice.hears(roomId, 'm.typing', bob.account.userId)
    })
  })
}

/** Waits for a message that the client can decrypt. */
function decrypted(client: MatrixClient, text: string): Promise<string> {
  return new Promise((resolve) => {
    const look = (event: MatrixEvent) => {
      if (event.getContent().body === text) resolve(event.getId()!)
    }
    client.on(ClientEvent.Event, look)
    client.on(MatrixEventEvent.Decrypted, look)
  })
}

async function clientOf(t: TestContext, account: Account): Promise<MatrixClient> {
  const client = await startCryptoClient(account)
  t.after(() => client.stopClient())
  await eventually('the device keys are up', async () => {
    return account.deviceId in (await queryKeys(account, account.userId)).devices
  })
  return client
}

for (const restarted of ['evergreen', 'synapse'] as const) {
  test(`an encrypted conversation that survives a restart of ${restarted}`, { skip }, async (t) => {
    const servers = await startServers(t)
    const [alice, bob] = [await personOn(servers.evergreen), await personOn(servers.synapse)]
    const [aliceClient, bobClient] = [await clientOf(t, alice.account), await clientOf(t, bob.account)]
    const roomId = await alice.create({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    })
    await bob.join(roomId, servers.evergreen.serverName)
    const talk = async (from: MatrixClient, to: MatrixClient, text: string) => {
      await eventually('both see the room', async () =>
        [from, to].every((client) => client.getRoom(roomId)?.getJoinedMemberCount() === 2),
      )
      const arrived = decrypted(to, text)
      await from.sendTextMessage(roomId, text)
      await eventually(text, async () => await Promise.race([arrived, Promise.resolve(undefined)]), 60_000)
    }
    await talk(aliceClient, bobClient, 'can you read this?')
    await talk(bobClient, aliceClient, 'every word')
    await servers[restarted].stop()
    const sender = restarted === 'evergreen' ? bobClient : aliceClient
    const reader = restarted === 'evergreen' ? aliceClient : bobClient
    const arrived = decrypted(reader, 'said while you were down')
    await sender.sendTextMessage(roomId, 'said while you were down')
    await servers[restarted].start()
    await eventually(
      'what was said meanwhile',
      async () => await Promise.race([arrived, Promise.resolve(undefined)]),
      60_000,
    )
    await talk(aliceClient, bobClient, 'are you back?')
    await talk(bobClient, aliceClient, 'I am')
  })
}
