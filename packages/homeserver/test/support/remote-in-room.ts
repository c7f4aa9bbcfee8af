import assert from 'node:assert/strict'
import type { TestDatabase } from './databases.ts'
import type { RemoteRoom } from './remote-room.ts'
import type { ScriptedRemote } from './scripted-remote.ts'
import { testNetwork } from './test-network.ts'
import type { TestServer } from './test-server.ts'

/** The remote's user in `roomWithRemote`. */
export const U = '@u:far.example'

/** Everything that a server has of a room, as PDUs in the order in which they came. */
export async function pdusOf(server: TestServer, roomId: string): Promise<object[]> {
  const rows = await server.homeserver.ctx.store.db
    .selectFrom('events')
    .select('pdu')
    .where('room_id', '=', roomId as never)
    .where('position', 'is not', null)
    .orderBy('position')
    .execute()
  return rows.map((row) => JSON.parse(row.pdu))
}

/** The most PDUs of one transaction. */
const AT_ONCE = 50

/** Users of a remote come into a public room, without any of the endpoints for that. */
export async function enterRoom(
  remote: ScriptedRemote,
  server: TestServer,
  roomId: string,
  ...userIds: string[]
): Promise<RemoteRoom> {
  const known = await pdusOf(server, roomId)
  const { version } = await server.homeserver.ctx.store.db
    .selectFrom('rooms')
    .select('version')
    .where('room_id', '=', roomId as never)
    .executeTakeFirstOrThrow()
  const room = remote.knowRoom(roomId, version, known)
  const content = { membership: 'join' }
  const joins = userIds.map((userId) => room.say({ type: 'm.room.member', sender: userId, stateKey: userId, content }))
  for (let start = 0; start < joins.length; start += AT_ONCE) {
    const some = joins.slice(start, start + AT_ONCE)
    const { status, body } = await remote.sendPdus(
      server.serverName,
      some.map((join) => join.pdu),
    )
    const refused = status !== 200 || some.some((join) => body.pdus[join.eventId]?.error)
    if (refused) throw new Error(`not let in: ${JSON.stringify(body)}`)
  }
  return room
}

/** Alice's public room on hs1, with a user of a scripted remote in it. */
export async function roomWithRemote(database: TestDatabase, options: { version?: string; creation?: object } = {}) {
  const { version = '11', creation = {} } = options
  const network = await testNetwork(['hs1'], { database, realRooms: true })
  const { hs1 } = network.servers
  const alice = await hs1.register('alice')
  const created = await alice.request('POST', '/createRoom', {
    room_version: version,
    preset: 'public_chat',
    ...creation,
  })
  assert.equal(created.status, 200, JSON.stringify(created.body))
  const remote = network.remote('far.example')
  const roomId = created.body.room_id as string
  const room = await enterRoom(remote, hs1, roomId, U)
  const rowOf = (eventId: string) =>
    hs1.homeserver.ctx.store.db
      .selectFrom('events')
      .selectAll()
      .where('event_id', '=', eventId as never)
      .executeTakeFirst()
  const statusOf = async (eventId: string) => {
    const row = await rowOf(eventId)
    return row && (row.position === null ? 'outlier' : row.status)
  }
  const stateOf = async (type: string) =>
    (
      await hs1.homeserver.ctx.store.db
        .selectFrom('current_state')
        .select('event_id')
        .where('room_id', '=', roomId as never)
        .where('type', '=', type)
        .executeTakeFirst()
    )?.event_id
  const message = (body: string, more = {}) =>
    room.make({ type: 'm.room.message', sender: U, content: { msgtype: 'm.text', body }, ...more })
  const send = async (...events: { pdu: object }[]) => {
    const answer = await remote.sendPdus(
      'hs1',
      events.map((event) => event.pdu),
    )
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return answer.body.pdus
  }
  return { ...network, hs1, alice, remote, room, roomId, rowOf, statusOf, stateOf, message, send }
}
