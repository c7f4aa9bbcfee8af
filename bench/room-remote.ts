import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import selfsigned from 'selfsigned'
import type { RoomEvent } from '../packages/homeserver/src/matrix/events.ts'
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../packages/homeserver/src/matrix/ids.ts'
import type { JsonObject } from '../packages/homeserver/src/matrix/json.ts'
import { type SigningKey, signingKeyFromSeed, signJson } from '../packages/homeserver/src/matrix/signing.ts'
import { buildEvent } from '../packages/homeserver/src/state/build-event.ts'
import { roomVersion } from '../packages/homeserver/src/state/room-versions.ts'
import { devicesOf } from './remote.ts'

/** A remote server that has one large public room, lets anybody join it, and answers for the devices of its members. */
export type RoomRemote = {
  serverName: ServerName
  /** PEM of its certificate, for the homeserver to trust. */
  certificate: string
  roomId: RoomId
  members: readonly UserId[]
  close(): Promise<void>
}

/** Of the rooms that are played here. */
export const VERSION = roomVersion('11')!
const V1 = '/_matrix/federation/v1'

/** @param count how many members the room has; each event of the room is truly signed */
export async function startRoomRemote(count: number): Promise<RoomRemote> {
  const extensions = [{ name: 'subjectAltName' as const, altNames: [{ type: 2 as const, value: 'localhost' }] }]
  const pem = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], { extensions })
  const server = createServer({ key: pem.private, cert: pem.cert })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const serverName = `localhost:${(server.address() as AddressInfo).port}` as ServerName
  const key = signingKeyFromSeed('ed25519:1', Buffer.alloc(32, 7))
  const roomId = `!large:${serverName}` as RoomId
  const members = Array.from({ length: count }, (_, n) => `@member${n}:${serverName}` as UserId)
  const state = roomOf(() => key, roomId, members)
  const pdus = state.map((event) => event.pdu)
  const joinParts = `"state":${JSON.stringify(pdus)},"auth_chain":${JSON.stringify(pdus.slice(0, 5))}`
  const [last] = state.slice(-1)

  function answer(path: string, body: string): object | string {
    if (path.startsWith('/_matrix/key/v2/server')) {
      const verify_keys = { [key.keyId]: { key: key.publicKey } }
      const published = { server_name: serverName, valid_until_ts: Date.now() + 86_400_000, old_verify_keys: {} }
      return signJson({ ...published, verify_keys }, serverName, key)
    }
    const [endpoint = '', ...rest] = path.split('?')[0]!.split('/').slice(4).map(decodeURIComponent)
    if (endpoint === 'make_join') return { room_version: VERSION.id, event: joinTemplate(roomId, rest[1]!, state) }
    if (endpoint === 'send_join')
      return `{"origin":"${serverName}","event":${body},"members_omitted":false,${joinParts}}`
    if (path.startsWith(`${V1}/send/`)) return { pdus: {} }
    if (path.startsWith(`${V1}/user/devices/`)) {
      return { user_id: rest[1], stream_id: 1, devices: devicesOf(rest[1]!, 3) }
    }
    if (path.startsWith(`${V1}/event/`)) return { origin: serverName, origin_server_ts: 1, pdus: [last!.pdu] }
    return { errcode: 'M_NOT_FOUND', error: 'The remote of a benchmark has little to say' }
  }

  server.on('request', async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString()
    const answered = answer(request.url!, body)
    const text = typeof answered === 'string' ? answered : JSON.stringify(answered)
    const status = text.startsWith('{"errcode"') ? 404 : 200
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(text)
  })
  return {
    serverName,
    certificate: pem.cert,
    roomId,
    members,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/**
 * The state of a room: its creation, what governs it, and then its members, each event following the one before it.
 * @param keyOf what a server signs with
 */
export function roomOf(
  keyOf: (serverName: ServerName) => SigningKey,
  roomId: RoomId,
  members: readonly UserId[],
): RoomEvent[] {
  const state: RoomEvent[] = []
  const [creator] = members
  const say = (type: string, sender: UserId, stateKey: string, content: JsonObject, auth: RoomEvent[]) => {
    const previous = state.at(-1)
    const draft = {
      roomId,
      type,
      stateKey,
      sender,
      content,
      prevEvents: previous ? [previous.eventId] : [],
      authEvents: auth.map((event) => event.eventId),
      depth: state.length + 1,
      originServerTs: Date.now(),
    }
    const event = buildEvent(draft, VERSION, serverNameOf(sender), keyOf(serverNameOf(sender)))
    if ('invalid' in event) throw new Error(event.invalid)
    state.push(event)
    return event
  }
  const create = say('m.room.create', creator!, '', { room_version: VERSION.id }, [])
  const first = say('m.room.member', creator!, creator!, { membership: 'join' }, [create])
  const levels = say('m.room.power_levels', creator!, '', { users: { [creator!]: 100 } }, [create, first])
  const rules = say('m.room.join_rules', creator!, '', { join_rule: 'public' }, [create, first, levels])
  say('m.room.history_visibility', creator!, '', { history_visibility: 'shared' }, [create, first, levels])
  for (const [n, userId] of members.entries()) {
    const content = { membership: 'join', displayname: `Member ${n}` }
    if (n > 0) say('m.room.member', userId, userId, content, [create, levels, rules])
  }
  return state
}

/** What `make_join` gives for such a room. */
export function joinTemplate(roomId: RoomId, userId: string, state: readonly RoomEvent[]): object {
  const [create, , levels, rules] = state
  const last = state.at(-1)!
  return {
    room_id: roomId,
    type: 'm.room.member',
    sender: userId,
    state_key: userId,
    content: { membership: 'join' },
    prev_events: [last.eventId],
    auth_events: [create!, levels!, rules!].map((event) => event.eventId),
    depth: last.depth + 1,
    origin_server_ts: Date.now(),
  }
}
