import assert from 'node:assert/strict'
import type { TestDatabase } from '../support/databases.ts'
import { roomPath } from '../support/room-client.ts'
import type { ClientAnswer, TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'

/** Alice and carol on hs1, bob on hs2, dave on hs3. */
export async function world(database: TestDatabase) {
  const net = await testNetwork(['hs1', 'hs2', 'hs3'], { database, realRooms: true, settings: { allowGuests: true } })
  const { hs1, hs2, hs3 } = net.servers
  const [alice, carol] = [await hs1.register('alice'), await hs1.register('carol')]
  return { ...net, alice, carol, bob: await hs2.register('bob'), dave: await hs3.register('dave') }
}

export const outcome = ({ status, body }: ClientAnswer) => [status, body?.errcode]

export const post = (client: TestClient, roomId: string, action: string, body: object = {}) =>
  client.request('POST', roomPath(roomId, action), body)

export const join = (client: TestClient, room: string, ...via: string[]) =>
  client.request('POST', `/join/${encodeURIComponent(room)}?${via.map((server) => `via=${server}`).join('&')}`, {})

export const knock = (client: TestClient, room: string, ...via: string[]) =>
  client.request('POST', `/knock/${encodeURIComponent(room)}?${via.map((server) => `via=${server}`).join('&')}`, {})

/** Sets a state event without a state key. */
export const setState = (client: TestClient, roomId: string, type: string, content: object) =>
  client.request('PUT', roomPath(roomId, 'state', type), content)

export async function ok(answer: Promise<ClientAnswer>): Promise<ClientAnswer['body']> {
  const { status, body } = await answer
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

/** What a member's server says of somebody's membership event. */
export async function memberContent(client: TestClient, roomId: string, { userId }: { userId: string }) {
  return (await client.request('GET', roomPath(roomId, 'state', 'm.room.member', userId))).body
}

export async function membership(client: TestClient, roomId: string, member: { userId: string }): Promise<string> {
  return (await memberContent(client, roomId, member)).membership
}

export async function joinedRooms(client: TestClient): Promise<string[]> {
  return (await ok(client.request('GET', '/joined_rooms'))).joined_rooms
}
