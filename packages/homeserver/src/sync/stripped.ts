import type { Pdu } from '../matrix/events.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { eventRows } from '../storage/events.ts'
import { roomsWithLocalMembers } from '../storage/room-population.ts'
import { currentStateIds } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'
import { strippedStates } from '../storage/stripped-state.ts'
import { memberEvents } from '../storage/sync-rooms.ts'
import type { OwnMembership } from './standing.ts'

/** Client-server API, "Stripped state". */
export type StrippedEvent = { type: string; state_key: string; sender: string; content: unknown }

const TYPES = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
]

/**
 * What somebody is shown of rooms that they are invited to, or knock on: of a room that this server is in, its state now;
 * of others, what came with the invitation. The invitation itself, or the knock, is the last.
 */
export async function strippedRooms(
  db: Db,
  userId: UserId,
  memberships: readonly OwnMembership[],
): Promise<Map<RoomId, StrippedEvent[]>> {
  if (memberships.length === 0) return new Map()
  const roomIds = memberships.map(({ roomId }) => roomId)
  const here = new Set(await roomsWithLocalMembers(db, roomIds))
  const told = await strippedStates(db, userId, roomIds)
  const wanted = await stateIds(db, memberships, here)
  const own = memberships.flatMap(({ eventId }) => eventId ?? [])
  const rows = await eventRows(db, [...new Set([...[...wanted.values()].flat(), ...own])])
  const events = new Map(rows.map((row) => [row.event_id, strip(JSON.parse(row.pdu) as Pdu)]))
  return new Map(
    memberships.map(({ roomId, eventId }) => {
      const text = here.has(roomId) ? undefined : told.get(roomId)
      const state = text === undefined ? pick(events, wanted.get(roomId) ?? []) : (JSON.parse(text) as StrippedEvent[])
      const isOwn = (event: StrippedEvent) => event.type === 'm.room.member' && event.state_key === userId
      return [roomId, [...state.filter((event) => !isOwn(event)), ...pick(events, eventId ? [eventId] : [])]]
    }),
  )
}

/** The events that tell what a room is, and who it is that invites. */
async function stateIds(
  db: Db,
  memberships: readonly OwnMembership[],
  here: ReadonlySet<RoomId>,
): Promise<Map<RoomId, EventId[]>> {
  const found = new Map<RoomId, EventId[]>()
  const add = (roomId: RoomId, eventId: EventId) => found.set(roomId, [...(found.get(roomId) ?? []), eventId])
  const roomIds = [...here]
  if (roomIds.length === 0) return found
  for (const row of await currentStateIds(db, roomIds, TYPES)) {
    if (row.state_key === '') add(row.room_id, row.event_id)
  }
  const senders = new Map(memberships.map(({ roomId, sender }) => [roomId, sender]))
  for (const row of await memberEvents(db, roomIds, [...new Set(senders.values())])) {
    if (senders.get(row.room_id) === row.user_id) add(row.room_id, row.event_id)
  }
  return found
}

const pick = (events: ReadonlyMap<EventId, StrippedEvent>, ids: readonly EventId[]) =>
  ids.flatMap((id) => events.get(id) ?? [])

function strip({ type, state_key: stateKey, sender, content }: Pdu): StrippedEvent {
  return { type, state_key: typeof stateKey === 'string' ? stateKey : '', sender, content }
}
