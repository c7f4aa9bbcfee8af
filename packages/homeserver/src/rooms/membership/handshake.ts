import type { RoomEvent } from '../../matrix/events.ts'
import type { FederationAnswer } from '../../matrix/federation.ts'
import { isServerName, isUserId, type RoomId, type ServerName, serverNameOf, type UserId } from '../../matrix/ids.ts'
import { isObject, type Json, type JsonObject } from '../../matrix/json.ts'
import { completeEvent } from '../../state/build-event.ts'
import { ROOM_VERSIONS, type RoomVersion, roomVersion } from '../../state/room-versions.ts'
import { membershipRow } from '../../storage/memberships.ts'
import { serversIn } from '../../storage/room-population.ts'
import { roomRow } from '../../storage/rooms.ts'
import { strippedStateSource } from '../../storage/stripped-state.ts'
import type { RoomParts } from '../ports.ts'
import { newEventId } from '../send.ts'
import { isFinal, type Refusal, refusalOf, worstOf } from './refusal.ts'

/** What can be done to a room that we are not in, with the help of a server that is. */
export type Handshake = 'join' | 'leave' | 'knock'

/** Whose membership of which room changes. */
export type Outsider = { roomId: RoomId; userId: UserId }

/** An event of ours that a server in the room has given the template of. */
export type Prepared = { server: ServerName; version: RoomVersion; event: RoomEvent }

const MAKE_TIMEOUT_MS = 20_000
/** Servers that are asked at most. */
const MAX_SERVERS = 10
const encode = encodeURIComponent

/** Servers that may be in a room that we are not in, the likeliest first. @param via those that the client names */
export async function serversToAsk(
  { store, serverName, remote }: RoomParts,
  { roomId, userId }: Outsider,
  via: readonly ServerName[],
): Promise<ServerName[]> {
  const own = await membershipRow(store.db, roomId, userId)
  const inviter = own?.membership === 'invite' ? [serverNameOf(own.sender)] : []
  const teller = await strippedStateSource(store.db, roomId, userId)
  const ofRoomId = roomId.slice(roomId.indexOf(':') + 1)
  const known = await serversIn(store.db, roomId)
  const all = new Set([
    ...via,
    ...inviter,
    ...(teller ? [teller] : []),
    ...(isServerName(ofRoomId) ? [ofRoomId] : []),
    ...known,
  ])
  return [...all].filter((server) => server !== serverName && remote.isAllowed(server)).slice(0, MAX_SERVERS)
}

/**
 * Tries servers in turn until one of them has done it.
 * @throws what says most of why none has: 502 where nobody gave a usable answer, 404 where there is nobody to ask
 */
export async function throughServers<T>(
  servers: readonly ServerName[],
  attempt: (server: ServerName) => Promise<{ done: T } | Refusal>,
): Promise<T> {
  const refusals: Refusal[] = []
  for (const server of servers) {
    const result = await attempt(server)
    if ('done' in result) return result.done
    refusals.push(result)
    if (isFinal(result)) throw worstOf([result])
  }
  throw worstOf(refusals)
}

/**
 * `GET /make_join` and what is like it: has the event prepared that we are to sign. Of what the server says, only where the
 * event stands in the room is taken over, and who vouches for it.
 * @param content of the event, its membership excepted
 */
export async function prepare(
  parts: RoomParts,
  server: ServerName,
  kind: Handshake,
  outsider: Outsider,
  content: JsonObject,
): Promise<Prepared | Refusal> {
  const { roomId, userId } = outsider
  const versions = ROOM_VERSIONS.filter((version) => kind !== 'knock' || version.knocking)
  const query = versions.map(({ id }) => `ver=${id}`).join('&')
  const path = `/_matrix/federation/v1/make_${kind}/${encode(roomId)}/${encode(userId)}?${query}`
  const answer = await parts.remote.request(server, {
    method: 'GET',
    path,
    timeoutMs: MAKE_TIMEOUT_MS,
    urgency: 'insist',
  })
  if (answer.kind !== 'answer' || answer.status !== 200) return refusalOf(server, answer)
  const template = templateIn(answer, kind, outsider)
  const known = await roomRow(parts.store.db, roomId)
  if (!template || (known && known.version !== template.version.id)) return { kind: 'failed' }
  const event = complete(parts, kind, outsider, template, content)
  return event ? { server, version: template.version, event } : { kind: 'failed' }
}

type Template = { version: RoomVersion; event: Record<string, unknown>; authoriser: UserId | undefined }

/** A template that is what was asked for, and nothing else. */
function templateIn(
  answer: FederationAnswer & { kind: 'answer' },
  kind: Handshake,
  outsider: Outsider,
): Template | undefined {
  if (!isObject(answer.body)) return undefined
  const { event, room_version: versionId = '1' } = answer.body
  const version = typeof versionId === 'string' ? roomVersion(versionId) : undefined
  if (!version || !isObject(event) || !isObject(event.content)) return undefined
  const { type, sender, state_key: stateKey, room_id: roomId, content } = event
  const isOurs = type === 'm.room.member' && sender === outsider.userId && stateKey === outsider.userId
  if (!isOurs || roomId !== outsider.roomId || content.membership !== kind) return undefined
  const authoriser = content.join_authorised_via_users_server
  if (kind === 'join' && authoriser !== undefined && !isUserId(authoriser)) return undefined
  return { version, event, authoriser: kind === 'join' && isUserId(authoriser) ? authoriser : undefined }
}

function complete(
  { serverName, signingKey, random, clock }: RoomParts,
  membership: Handshake,
  { roomId, userId }: Outsider,
  { version, event, authoriser }: Template,
  content: JsonObject,
): RoomEvent | undefined {
  const template: Record<string, unknown> = {
    type: 'm.room.member',
    room_id: roomId,
    sender: userId,
    state_key: userId,
    content: { ...content, membership, ...(authoriser && { join_authorised_via_users_server: authoriser }) },
    depth: event.depth,
    prev_events: event.prev_events,
    auth_events: event.auth_events,
    origin_server_ts: clock.now(),
  }
  const completed = completeEvent(
    template as { [key: string]: Json },
    version,
    serverName,
    signingKey,
    newEventId(random, serverName),
  )
  return 'invalid' in completed ? undefined : completed
}

/**
 * Sends the signed event to a server in the room, by the newer of two endpoints, or by the older where it has no newer one.
 * @returns the answer's body
 */
export async function deliver(
  { remote }: RoomParts,
  { server, event }: Pick<Prepared, 'server' | 'event'>,
  endpoints: readonly string[],
  limits: { timeoutMs: number; maxBytes?: number },
): Promise<{ body: Record<string, unknown> } | Refusal> {
  let refusal: Refusal = { kind: 'failed' }
  for (const endpoint of endpoints) {
    const path = `/_matrix/federation/${endpoint}/${encode(event.roomId)}/${encode(event.eventId)}`
    const answer = await remote.request(server, {
      method: 'PUT',
      path,
      body: event.pdu,
      urgency: 'insist',
      ...limits,
    })
    const body = answer.kind === 'answer' && answer.status === 200 ? bodyOf(answer.body) : undefined
    if (body) return { body }
    refusal = refusalOf(server, answer)
    if (refusal.kind !== 'unrecognized') return refusal
  }
  return refusal
}

/** The first version of these endpoints answers a pair of 200 and the body. */
function bodyOf(body: unknown): Record<string, unknown> | undefined {
  const inner = Array.isArray(body) && body.length === 2 && body[0] === 200 ? body[1] : body
  return isObject(inner) ? inner : undefined
}
