import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { EventType, type MatrixClient, Preset, Visibility } from 'matrix-js-sdk'
import { login, request } from '../../../interop/clients.ts'
import { looksStale, refreshDeviceList, type WatchedRefresh, watch } from '../src/index.ts'
import { createLog, when, whenMember } from './support/events.ts'
import { createLossyNetwork } from './support/lossy-network.ts'
import { prepareGround, type StartedClient, startClient, startHomeserver, startUser } from './support/servers.ts'

/** So that what never happens fails its own test. */
const LIMIT = { timeout: 60_000 }
const ENCRYPTION = {
  type: EventType.RoomEncryption as string,
  state_key: '',
  content: { algorithm: 'm.megolm.v1.aes-sha2' },
}

/** Alice and bob on servers of their own; bob's can lose the updates of his devices. */
async function startBoth(t: TestContext) {
  const ground = await prepareGround(t)
  const lossy = createLossyNetwork(ground.certificate.cert)
  const here = await startHomeserver(t, ground)
  const there = await startHomeserver(t, ground, {}, { platform: { network: lossy.network } })
  const alice = await startUser(t, here, 'alice', { crossSigning: true })
  const bob = await startUser(t, there, 'bob', { crossSigning: true })
  return { here, there, alice, bob, lossy }
}

async function encryptedDirectRoom(alice: StartedClient, bob: StartedClient): Promise<string> {
  const { room_id: roomId } = await alice.client.createRoom({
    preset: Preset.TrustedPrivateChat,
    is_direct: true,
    invite: [bob.account.userId],
    initial_state: [ENCRYPTION],
  })
  await whenMember(bob.client, roomId, bob.account.userId, 'invite')
  await bob.client.joinRoom(roomId)
  await whenMember(alice.client, roomId, bob.account.userId, 'join')
  return roomId
}

async function storedDevices(client: MatrixClient, userId: string): Promise<string[]> {
  const devices = await client.getCrypto()!.getUserDeviceInfo([userId])
  return [...(devices.get(userId)?.keys() ?? [])]
}

function watchAlice(t: TestContext, { client }: StartedClient, opts: Parameters<typeof watch>[1] = {}) {
  const log = createLog<WatchedRefresh>()
  const stop = watch(client, { onRefresh: log.add, onError: (error) => assert.fail(String(error)), ...opts })
  t.after(stop)
  return { ...log, stop }
}

test('a hidden device is in the crypto store when the refresh resolves', LIMIT, async (t) => {
  const { alice, bob, lossy } = await startBoth(t)
  await encryptedDirectRoom(alice, bob)
  const [bobId, phone] = [bob.account.userId, bob.account.deviceId]
  assert.equal((await refreshDeviceList(alice.client, bobId)).outcome, 'arrived')
  assert.deepEqual(await storedDevices(alice.client, bobId), [phone])

  lossy.lose()
  const tablet = await login(bob.account.baseUrl, bobId, bob.account.password)
  await startClient(t, tablet)
  await lossy.lost()
  assert.deepEqual(await storedDevices(alice.client, bobId), [phone])

  const outcome = await refreshDeviceList(alice.client, bobId)
  const both = [phone, tablet.deviceId].sort()
  assert.deepEqual((await storedDevices(alice.client, bobId)).sort(), both)
  assert.deepEqual([...(outcome.outcome === 'arrived' ? outcome.devices.keys() : [])].sort(), both)
})

test(
  'a watch asks when a direct room is created, before a verification request, and never for what is its own',
  LIMIT,
  async (t) => {
    const { here, alice, bob } = await startBoth(t)
    const watched = watchAlice(t, alice, { staleLists: false })
    const bobId = bob.account.userId
    const roomId = await encryptedDirectRoom(alice, bob)
    const direct = await watched.find(({ occasion }) => occasion === 'directRoom')
    assert.deepEqual([direct.userId, direct.outcome.outcome], [bobId, 'arrived'])

    await alice.client.getCrypto()!.getUserDeviceInfo([bobId])
    await alice.client.getCrypto()!.requestVerificationDM(bobId, roomId)
    const asked = watched.all.find(({ occasion }) => occasion === 'verificationRequest')
    assert.equal(asked?.outcome.outcome, 'arrived', 'before the request went out')

    const carol = await startUser(t, here, 'carol')
    await encryptedDirectRoom(alice, carol)
    const before = watched.all.length
    watched.stop()
    assert.ok(!Object.hasOwn(alice.client.getCrypto()!, 'requestVerificationDM'))
    await encryptedDirectRoom(alice, bob)
    assert.equal(watched.all.length, before)
    assert.ok(watched.all.every(({ userId }) => userId === bobId))
  },
)

test('a watch asks when somebody is invited to a group room, or invites to one', LIMIT, async (t) => {
  const { here, alice, bob } = await startBoth(t)
  const carol = await startUser(t, here, 'carol')
  const watched = watchAlice(t, alice, { staleLists: false })
  const bobs = watchAlice(t, bob, { staleLists: false })
  const { room_id: roomId } = await alice.client.createRoom({
    visibility: Visibility.Private,
    invite: [carol.account.userId],
    initial_state: [ENCRYPTION],
  })
  await whenMember(alice.client, roomId, carol.account.userId, 'invite')
  await alice.client.invite(roomId, bob.account.userId)

  const invited = await watched.find(({ occasion }) => occasion === 'groupInvite')
  assert.deepEqual([invited.userId, invited.outcome.outcome], [bob.account.userId, 'arrived'])
  const inviter = await bobs.find(({ occasion }) => occasion === 'groupInvite')
  assert.deepEqual([inviter.userId, inviter.outcome.outcome], [alice.account.userId, 'arrived'])
})

test('an undecryptable event of an unknown device is a sign, and a watch asks once for it', LIMIT, async (t) => {
  const { alice, bob } = await startBoth(t)
  const roomId = await encryptedDirectRoom(alice, bob)
  const bobId = bob.account.userId
  assert.equal((await refreshDeviceList(alice.client, bobId)).outcome, 'arrived')
  const watched = watchAlice(t, alice, { directRooms: false })

  const send = async (transaction: string, deviceId: string) => {
    const content = { ...UNDECRYPTABLE, device_id: deviceId, sender_key: keyOf(deviceId) }
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.encrypted/${transaction}`
    const { body } = await request(bob.account, 'PUT', path, content)
    const eventId = body.event_id as string
    await when(alice.client, () => alice.client.getRoom(roomId)?.findEventById(eventId)?.isDecryptionFailure())
    return eventId
  }
  const eventId = await send('one', 'GHOST')
  const asked = await watched.find(({ occasion }) => occasion === 'staleList')
  assert.deepEqual([asked.userId, asked.outcome.outcome], [bobId, 'arrived'])
  const { signs } = await looksStale(alice.client, bobId)
  assert.equal(signs.length, 1)
  assert.ok(signs[0]?.sign === 'unknownSenderDevice')
  assert.deepEqual(
    signs[0].events.map((event) => [event.eventId, event.deviceId]),
    [[eventId, 'GHOST']],
  )

  await send('two', 'GHOST')
  await send('three', 'SPIRIT')
  await watched.find((refresh) => refresh !== asked)
  assert.equal(watched.all.length, 2, 'one for each unknown device')
})

/** Unpadded base64 of 32 bytes, as identity keys are. */
const keyOf = (deviceId: string) => Buffer.from(deviceId.padEnd(32)).toString('base64').replace('=', '')

const UNDECRYPTABLE = {
  algorithm: 'm.megolm.v1.aes-sha2',
  ciphertext:
    'AwgAEoABkqUrIJwu1tHJTD6z9ObuQNesUEmcjTpV/Qrcslf9vo27ToJxrn72Ft51wQJOpWfW3Hev+yWr0F5YxjvQ5iE5Odb9vobyvtMoUJfSfEbuWicFo0iNLxSWLcoJBozylup5mHbQkAgfqiaU+Mid1b3BwwzDyF7R82jC+x1Qbcz+wkubHWAGuI7T1xdrhwdPl1v4MgvQkUH4YXGHzCup86iwW40C/p64JJ08KzjhMssBTiYE8mOTJ75qCszCYLYySYALr/GSGQKUmwE',
  session_id: '8ePbKo8I5YxgtoTVaYOYDNUiei2842KBcBYDuAbt3Jw',
}
