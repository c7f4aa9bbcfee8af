import { notFound } from '../matrix/errors.ts'
import { stateEntry } from '../matrix/events.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { eventPage } from '../storage/event-pages.ts'
import { type EventRow, eventRows } from '../storage/events.ts'
import { membershipRow, membersOf } from '../storage/memberships.ts'
import type { Membership } from '../storage/room-tables.ts'
import type { Db } from '../storage/store.ts'
import type { ClientEvent } from './client-event.ts'
import { clientState } from './client-events.ts'
import { eventOf } from './events.ts'
import { placeOf } from './messages.ts'
import { comparePlaces, type Place } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import { accessRoom, type RoomAccess } from './room-access.ts'
import { notInRoom } from './speaking.ts'
import type { Viewer } from './viewers.ts'

type Requester = Pick<Viewer, 'userId' | 'deviceId'>

/** Which members are asked for: those of one kind, those of all kinds but one, or what either of both lets through. */
export type MembersQuery = {
  at?: string | undefined
  membership?: Membership | undefined
  notMembership?: Membership | undefined
}

/** `display_name` and `avatar_url` by user ID, as far as there are any. */
export type JoinedMembers = Record<string, { display_name?: string; avatar_url?: string }>

/** `GET /rooms/{roomId}/state`: the state now, or when the user left. @throws `M_FORBIDDEN` */
export async function roomState(parts: RoomParts, requester: Requester, roomId: RoomId): Promise<ClientEvent[]> {
  const { db } = parts.store
  const access = await accessRoom(parts, db, requester, roomId)
  const { map } = await parts.states.load(db, access.stateGroup)
  return clientState(parts, db, access.viewer, await eventRows(db, [...map.values()]), { withRoomId: true })
}

/**
 * `GET /rooms/{roomId}/state/{eventType}/{stateKey}`: the content of one piece of the state, or the whole event.
 * @throws `M_FORBIDDEN`, `M_NOT_FOUND` if the state has no such piece
 */
export async function stateEvent(
  parts: RoomParts,
  requester: Requester,
  roomId: RoomId,
  { type, stateKey, format }: { type: string; stateKey: string; format: 'content' | 'event' },
): Promise<ClientEvent | JsonObject> {
  const { db } = parts.store
  const access = await accessRoom(parts, db, requester, roomId)
  const entry = stateEntry(type, stateKey)
  const eventId = (await parts.states.pick(db, new Map([[access.stateGroup, [entry]]])))
    .get(access.stateGroup)
    ?.get(entry)
  const [row] = eventId === undefined ? [] : await eventRows(db, [eventId])
  if (!row) throw notFound('The room has no such state')
  if (format === 'content') return eventOf(row, access.version).content
  return (await clientState(parts, db, access.viewer, [row], { withRoomId: true }))[0]!
}

/**
 * `GET /rooms/{roomId}/members`: membership events now, when the user left, or at a place that a token stands for.
 * @throws `M_FORBIDDEN`, `M_INVALID_PARAM` for a token that is none
 */
export async function members(
  parts: RoomParts,
  requester: Requester,
  roomId: RoomId,
  { at, membership, notMembership }: MembersQuery,
): Promise<ClientEvent[]> {
  const { db } = parts.store
  const access = await accessRoom(parts, db, requester, roomId)
  const place = at === undefined ? undefined : await placeOf(db, roomId, at, 'at')
  const rows = await memberRows(parts, db, await stateGroupAt(db, access, place))
  const isWanted = ({ pdu }: EventRow) => {
    if (membership === undefined && notMembership === undefined) return true
    const own: unknown = JSON.parse(pdu).content.membership
    return own === membership || (notMembership !== undefined && own !== notMembership)
  }
  return clientState(parts, db, access.viewer, rows.filter(isWanted), { withRoomId: true })
}

/** The state after the last event before a place, but nothing from after the user left. */
async function stateGroupAt(db: Db, { roomId, stateGroup, until }: RoomAccess, place: Place | undefined) {
  if (!place || (until && comparePlaces(until, place) <= 0)) return stateGroup
  const [last] = await eventPage(db, roomId, { dir: 'b', from: place, limit: 1 })
  return last?.state_after ?? undefined
}

async function memberRows({ states }: RoomParts, db: Db, group: number | undefined): Promise<EventRow[]> {
  if (group === undefined) return []
  const { map } = await states.load(db, group)
  const ids: EventId[] = []
  for (const [entry, eventId] of map) if (entry.startsWith('m.room.member\0')) ids.push(eventId)
  return eventRows(db, ids)
}

/** `GET /rooms/{roomId}/joined_members`. @throws `M_FORBIDDEN` for whoever is not in the room */
export async function joinedMembers(parts: RoomParts, requester: Requester, roomId: RoomId): Promise<JoinedMembers> {
  const { db } = parts.store
  const own = await membershipRow(db, roomId, requester.userId)
  if (own?.membership !== 'join') throw notInRoom()
  const rows = await membersOf(db, roomId, { membership: 'join' })
  return Object.fromEntries(
    rows.map(({ user_id: userId, display_name: name, avatar_url: avatar }) => [
      userId,
      { ...(name === null ? {} : { display_name: name }), ...(avatar === null ? {} : { avatar_url: avatar }) },
    ]),
  )
}
