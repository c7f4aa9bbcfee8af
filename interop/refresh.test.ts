// What Evergreen is for, against a real Synapse and with real clients, in both directions.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type OlmMachine, UserId } from '@matrix-org/matrix-sdk-crypto-wasm'
import { ClientEvent, type MatrixClient, type MatrixEvent } from 'matrix-js-sdk'
import {
  type Account,
  createCrossSigningKeys,
  eventually,
  login,
  queryKeys,
  register,
  request,
  startCryptoClient,
} from './clients.ts'
import { type Evergreen, startEvergreen } from './evergreen.ts'
import { type Synapse, skipWithoutSynapse, startSynapse } from './synapse.ts'

const skip = skipWithoutSynapse()
/** The cache is short here, so that a test need not wait half a minute for it to end (ms). */
const SETTINGS = { EVERGREEN_DEVICE_LISTS_REFRESH_CACHE: '1' }

type Servers = { synapse: Synapse; evergreen: Evergreen }

async function startServers(t: TestContext): Promise<Servers> {
  const synapse = await startSynapse()
  t.after(synapse.remove)
  const evergreen = await startEvergreen(synapse, SETTINGS)
  t.after(evergreen.remove)
  return { synapse, evergreen }
}

/** A client with its own cross-signing keys, by which its device is signed. */
async function startSignedClient(t: TestContext, account: Account): Promise<MatrixClient> {
  const client = await startCryptoClient(account)
  t.after(() => client.stopClient())
  await createCrossSigningKeys(client, account)
  await eventually('the device is signed by its owner', async () => {
    const { devices } = await queryKeys(account, account.userId)
    const signatures = devices[account.deviceId]?.signatures as Record<string, object> | undefined
    return Object.keys(signatures?.[account.userId] ?? {}).length === 2
  })
  return client
}

function refreshPath(userId: string): string {
  return `/_matrix/client/unstable/org.matrix.msc2638/user/${encodeURIComponent(userId)}/devices/refresh`
}

/** A place in the stream of an account, and what has come since. */
async function startOfSync(account: Account) {
  let since = (await sync(account)).next_batch as string
  return {
    /** @param timeout ms that the server may wait for news */
    async next(timeout = 0): Promise<Record<string, unknown>> {
      const body = await sync(account, since, timeout)
      since = body.next_batch as string
      return body
    },
  }
}

async function sync(account: Account, since?: string, timeout = 0): Promise<Record<string, unknown>> {
  const from = since === undefined ? '' : `&since=${encodeURIComponent(since)}`
  const { status, body } = await request(account, 'GET', `/_matrix/client/v3/sync?timeout=${timeout}${from}`)
  assert.equal(status, 200)
  return body
}

const changedIn = (body: Record<string, unknown>) =>
  (body.device_lists as { changed?: string[] } | undefined)?.changed ?? []
/** Whatever else a server may say of a device, these are its keys. */
const withoutUnsigned = (devices: Record<string, Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(devices).map(([id, { unsigned: _, ...keys }]) => [id, keys]))

test('alice on Evergreen sees the keys that Synapse has now, and is told when Synapse is back', { skip }, async (t) => {
  const { synapse, evergreen } = await startServers(t)
  const alice = await register(evergreen.baseUrl, { username: 'alice' })
  const bob = await register(synapse.baseUrl, { username: 'bob' })
  await startSignedClient(t, bob)

  const seesWhatSynapseHas = async () => {
    const [seen, true_] = [await queryKeys(alice, bob.userId), await queryKeys(bob, bob.userId)]
    assert.deepEqual(withoutUnsigned(seen.devices), withoutUnsigned(true_.devices))
    assert.deepEqual(seen.masterKey, true_.masterKey)
    assert.deepEqual(seen.failures, {})
    return Object.keys(seen.devices)
  }

  const stream = await startOfSync(alice)
  const first = await request(alice, 'POST', refreshPath(bob.userId))
  assert.deepEqual([first.status, first.body], [202, {}])
  assert.deepEqual(changedIn(await stream.next()), [bob.userId])
  assert.deepEqual(await seesWhatSynapseHas(), [bob.deviceId])

  const tablet = await login(synapse.baseUrl, bob.userId, bob.password)
  await startSignedTablet(t, tablet)
  const second = await request(alice, 'POST', refreshPath(bob.userId))
  assert.equal(second.status, 202)
  assert.deepEqual(changedIn(await stream.next()), [bob.userId])
  assert.deepEqual((await seesWhatSynapseHas()).sort(), [bob.deviceId, tablet.deviceId].sort())

  await synapse.stop()
  const failed = await request(alice, 'POST', refreshPath(bob.userId))
  assert.deepEqual([failed.status, failed.body.errcode], [502, 'M_UNKNOWN'])
  assert.equal(failed.body['org.matrix.msc2638.retry_scheduled'], true)
  assert.ok((failed.body.retry_after_ms as number) > 0)
  assert.equal((await request(alice, 'GET', refreshPath(bob.userId))).body.state, 'failing')
  assert.deepEqual(changedIn(await stream.next()), [])

  await synapse.start()
  await eventually(
    'alice is told that the list is here',
    async () => changedIn(await stream.next(5_000)).includes(bob.userId),
    40_000,
  )
  await seesWhatSynapseHas()
  assert.equal((await request(alice, 'GET', refreshPath(bob.userId))).body.state, 'fresh')
})

/** A second device of a user, whose keys go up. */
async function startSignedTablet(t: TestContext, tablet: Account): Promise<void> {
  const client = await startCryptoClient(tablet)
  t.after(() => client.stopClient())
  await eventually('the keys of the second device are up', async () => {
    const { devices } = await queryKeys(tablet, tablet.userId)
    return devices[tablet.deviceId] !== undefined
  })
}

test("Synapse's users see the devices of ours, and messages to devices go both ways", { skip }, async (t) => {
  const { synapse, evergreen } = await startServers(t)
  const alice = await register(evergreen.baseUrl, { username: 'alice' })
  const bob = await register(synapse.baseUrl, { username: 'bob' })
  const aliceClient = await startSignedClient(t, alice)
  const bobClient = await startSignedClient(t, bob)

  const [seen, true_] = [await queryKeys(bob, alice.userId), await queryKeys(alice, alice.userId)]
  assert.deepEqual(withoutUnsigned(seen.devices), withoutUnsigned(true_.devices))
  assert.deepEqual(Object.keys(seen.devices), [alice.deviceId])
  assert.deepEqual(seen.masterKey, true_.masterKey)

  const claim = async (from: Account, of: Account) => {
    const one_time_keys = { [of.userId]: { [of.deviceId]: 'signed_curve25519' } }
    const { body } = await request(from, 'POST', '/_matrix/client/v3/keys/claim', { one_time_keys })
    const keys = body.one_time_keys as Record<string, Record<string, object>>
    return Object.keys(keys[of.userId]?.[of.deviceId] ?? {})
  }
  for (const [from, of] of [
    [bob, alice],
    [alice, bob],
  ] as const) {
    const [one, other] = [await claim(from, of), await claim(from, of)]
    assert.deepEqual([one.length, other.length], [1, 1])
    assert.notDeepEqual(one, other)
  }

  const [ours, theirs] = [
    { account: alice, client: aliceClient },
    { account: bob, client: bobClient },
  ]
  await track(ours, bob.userId)
  await track(theirs, alice.userId)
  await encrypted(aliceClient, bobClient, 'from Evergreen to Synapse')
  await encrypted(bobClient, aliceClient, 'from Synapse to Evergreen')
})

type Party = { account: Account; client: MatrixClient }

/** Makes a client keep the devices of a user, as an encrypted room that both are in does. */
async function track({ account, client }: Party, userId: string): Promise<void> {
  const crypto = client.getCrypto()!
  const { olmMachine } = crypto as unknown as { olmMachine: OlmMachine }
  await olmMachine.updateTrackedUsers([new UserId(userId)])
  // Its machine does what it has to do when a sync has ended: this ends the one that waits.
  await request(account, 'PUT', `/_matrix/client/v3/user/${account.userId}/account_data/org.example.nudge`, { userId })
  await eventually(`the client knows the devices of ${userId}`, async () => {
    const devices = (await crypto.getUserDeviceInfo([userId])).get(userId)
    return devices !== undefined && devices.size > 0
  })
}

/** Sends a message from one device to another, encrypted with Olm for real, and waits until it was read there. */
async function encrypted(from: MatrixClient, to: MatrixClient, text: string): Promise<void> {
  const arrived = new Promise<MatrixEvent>((resolve) => {
    const listener = (event: MatrixEvent) => {
      if (event.getContent().text === text) resolve(event)
    }
    to.on(ClientEvent.ToDeviceEvent, listener)
  })
  const recipient = { userId: to.getSafeUserId(), deviceId: to.getDeviceId()! }
  const batch = await from.getCrypto()!.encryptToDeviceMessages('org.example.test', [recipient], { text })
  assert.equal(batch.batch.length, 1)
  await from.queueToDevice(batch)
  const event = await arrived
  assert.deepEqual([event.getType(), event.getSender()], ['org.example.test', from.getSafeUserId()])
}
