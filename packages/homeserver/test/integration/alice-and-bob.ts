import type { PartialSettings } from '../../src/config/defaults.ts'
import type { TestDatabase } from '../support/databases.ts'
import type { RemoteUser } from '../support/remote-user.ts'
import type { ScriptedRemote } from '../support/scripted-remote.ts'
import type { ClientAnswer, TestClient } from '../support/test-client.ts'
import { type TestNetwork, testNetwork } from '../support/test-network.ts'
import type { Member } from '../support/test-rooms.ts'

const REMOTE = 'far.example'
/** Past the time in which an earlier success answers for a list (ms). */
export const CACHE_OVER_MS = 31_000

/** What most scenarios begin with: alice on `hs1`, bob with one device on a scripted remote. */
export type AliceAndBob = TestNetwork<'hs1'> & { alice: TestClient; bob: RemoteUser; far: ScriptedRemote }

/** Alice and bob share no room. */
export async function strangers(database: TestDatabase, settings: PartialSettings = {}): Promise<AliceAndBob> {
  const net = await testNetwork(['hs1'], { database, settings, realRooms: true })
  const far = net.remote(REMOTE)
  const bob = far.addUser('bob')
  bob.addDevice('PHONE')
  const alice = await net.servers.hs1.register('alice')
  await alice.sync()
  return { ...net, far, bob, alice }
}

/** Alice and bob share a room; the server knows bob's list, fetched once and not lately, and alice has heard of it. */
export async function friends(database: TestDatabase, settings: PartialSettings = {}): Promise<AliceAndBob> {
  const world = await strangers(database, settings)
  await world.rooms.share([world.alice, world.bob])
  await world.settle()
  await world.advance(CACHE_OVER_MS)
  await world.alice.sync()
  return world
}

/** The same, and the room is encrypted. */
export async function encryptedFriends(database: TestDatabase): Promise<AliceAndBob> {
  const world = await friends(database)
  const { body } = await world.alice.request('GET', '/joined_rooms')
  const path = `/rooms/${encodeURIComponent(body.joined_rooms[0])}/state/m.room.encryption`
  await world.alice.request('PUT', path, { algorithm: 'm.megolm.v1.aes-sha2' })
  await world.alice.sync()
  return world
}

const idOf = (member: Member) => (typeof member === 'string' ? member : member.userId)

/** Asks for a user's list to be fetched again, by the route that is documented. */
export function refresh(client: TestClient, member: Member): Promise<ClientAnswer> {
  return client.request('POST', refreshPath(member))
}

export function refreshPath(member: Member): string {
  return `/_matrix/client/unstable/org.matrix.msc2638/user/${encodeURIComponent(idOf(member))}/devices/refresh`
}

/** What the status endpoint says of a list. */
export async function stateOf(client: TestClient, member: Member): Promise<ClientAnswer['body']> {
  return (await client.request('GET', refreshPath(member))).body
}

/** The answer to a `/keys/query` for one user. @param timeout ms that it may wait for other servers */
export async function queryKeys(client: TestClient, member: Member, timeout = 0): Promise<ClientAnswer['body']> {
  const { body } = await client.request('POST', '/keys/query', { device_keys: { [idOf(member)]: [] }, timeout })
  return body
}

/** Device IDs in the answer to a `/keys/query`, sorted. */
export async function devicesSeenBy(client: TestClient, member: Member): Promise<string[]> {
  return Object.keys((await queryKeys(client, member)).device_keys[idOf(member)] ?? {}).sort()
}

/** Whom the next sync says to have changed. */
export async function changedFor(client: TestClient): Promise<string[]> {
  return (await client.sync()).device_lists?.changed ?? []
}

/** For `until`: whether a sync, one of several maybe, has told of the user. */
export function hearsOf(client: TestClient, member: Member): () => Promise<boolean> {
  return async () => (await changedFor(client)).includes(idOf(member))
}
