import assert from 'node:assert/strict'
import type { RoomId } from '../../src/matrix/ids.ts'
import type { Membership } from '../../src/storage/room-tables.ts'
import type { ClientAnswer, TestClient } from './test-client.ts'

/** A room as a test uses it, through the client API of one server. */
export type TestRoom = {
  roomId: RoomId
  path: string
  /** Says a text; `more` goes into the content. @returns the event's ID */
  say(client: TestClient, body: string, more?: object): Promise<string>
  send(client: TestClient, type: string, content: object): Promise<string>
  set(client: TestClient, type: string, content: object, stateKey?: string): Promise<string>
  redact(client: TestClient, eventId: string): Promise<string>
  /** `sender` makes `target` a member of this kind. */
  change(sender: TestClient, target: TestClient, membership: Membership): Promise<void>
  get(client: TestClient, path: string): Promise<ClientAnswer>
}

/** A new room of `creator`, with `wish` as the body of the request that makes it. */
export async function testRoom(creator: TestClient, wish: object = {}): Promise<TestRoom> {
  const created = await creator.request('POST', '/createRoom', { preset: 'public_chat', ...wish })
  assert.equal(created.status, 200, JSON.stringify(created.body))
  const roomId: RoomId = created.body.room_id
  const path = `/rooms/${encodeURIComponent(roomId)}`
  let transactions = 0

  async function put(client: TestClient, end: string, content: object): Promise<string> {
    const { status, body } = await client.request('PUT', path + end, content)
    assert.equal(status, 200, JSON.stringify(body))
    return body.event_id
  }
  const room: TestRoom = {
    roomId,
    path,
    say: (client, body, more = {}) => room.send(client, 'm.room.message', { msgtype: 'm.text', body, ...more }),
    send: (client, type, content) => put(client, `/send/${type}/t${transactions++}`, content),
    set: (client, type, content, stateKey = '') =>
      put(client, `/state/${type}/${encodeURIComponent(stateKey)}`, content),
    redact: (client, eventId) => put(client, `/redact/${encodeURIComponent(eventId)}/t${transactions++}`, {}),
    async change(sender, target, membership) {
      await room.set(sender, 'm.room.member', { membership }, target.userId)
    },
    get: (client, end) => client.request('GET', path + end),
  }
  return room
}
