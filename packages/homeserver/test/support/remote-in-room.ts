import type { RemoteRoom } from './remote-room.ts'
import type { ScriptedRemote } from './scripted-remote.ts'
import type { TestServer } from './test-server.ts'

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

/** A user of a remote comes into a public room, without any of the endpoints for that. */
export async function enterRoom(
  remote: ScriptedRemote,
  server: TestServer,
  roomId: string,
  userId: string,
): Promise<RemoteRoom> {
  const known = await pdusOf(server, roomId)
  const { version } = await server.homeserver.ctx.store.db
    .selectFrom('rooms')
    .select('version')
    .where('room_id', '=', roomId as never)
    .executeTakeFirstOrThrow()
  const room = remote.knowRoom(roomId, version, known)
  const join = room.say({
    type: 'm.room.member',
    sender: userId,
    stateKey: userId,
    content: { membership: 'join' },
  })
  const { status, body } = await remote.sendPdus(server.serverName, [join.pdu])
  if (status !== 200 || body.pdus[join.eventId]?.error) throw new Error(`not let in: ${JSON.stringify(body)}`)
  return room
}
