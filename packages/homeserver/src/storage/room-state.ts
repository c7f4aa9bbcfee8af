import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { StateChangesTable } from './room-tables.ts'
import type { Db } from './store.ts'

/** How one entry of a room's state changed. */
export type StateChange = StateChangesTable

/** Sets and removes entries of the state now; members are kept elsewhere. */
export async function saveCurrentState(
  db: Db,
  roomId: RoomId,
  changes: readonly { type: string; stateKey: string; eventId: EventId | null }[],
): Promise<void> {
  for (const { type, stateKey } of changes.filter((change) => change.eventId === null)) {
    await db
      .deleteFrom('current_state')
      .where('room_id', '=', roomId)
      .where('type', '=', type)
      .where('state_key', '=', stateKey)
      .execute()
  }
  const set = changes.flatMap(({ type, stateKey, eventId }) =>
    eventId === null ? [] : [{ room_id: roomId, type, state_key: stateKey, event_id: eventId }],
  )
  for (const some of inParts(set, 500)) {
    await db
      .insertInto('current_state')
      .values(some)
      .onConflict((conflict) =>
        conflict
          .columns(['room_id', 'type', 'state_key'])
          .doUpdateSet((eb) => ({ event_id: eb.ref('excluded.event_id') })),
      )
      .execute()
  }
}

const selectCurrent = prepared<{ roomId: RoomId; type: string; stateKey: string }, { event_id: EventId }>((db, value) =>
  db
    .selectFrom('current_state')
    .select('event_id')
    .where('room_id', '=', value('roomId'))
    .where('type', '=', value('type'))
    .where('state_key', '=', value('stateKey')),
)

/** One event of the state now; not for members, who are kept elsewhere. */
export async function currentStateEventId(
  db: Db,
  roomId: RoomId,
  type: string,
  stateKey: string,
): Promise<EventId | undefined> {
  return (await selectCurrent(db, { roomId, type, stateKey })).rows[0]?.event_id
}

/** The events of the state now, members excepted, of these types in these rooms. */
export async function currentStateIds(
  db: Db,
  roomIds: readonly RoomId[],
  types?: readonly string[],
): Promise<{ room_id: RoomId; type: string; state_key: string; event_id: EventId }[]> {
  if (roomIds.length === 0) return []
  let query = db.selectFrom('current_state').selectAll().where('room_id', 'in', roomIds)
  if (types) query = query.where('type', 'in', types)
  return query.execute()
}

export async function addStateChanges(db: Db, changes: readonly StateChange[]): Promise<void> {
  for (const some of inParts(changes, 500)) {
    await db.insertInto('state_changes').values(some).execute()
  }
}

type ChangesBetween = { after: number; upTo: number }
const selectChangesOfRoom = prepared<ChangesBetween & { roomId: RoomId }, StateChange>((db, value) =>
  db
    .selectFrom('state_changes')
    .selectAll()
    .where('room_id', '=', value('roomId'))
    .where('position', '>', value('after'))
    .where('position', '<=', value('upTo'))
    .orderBy('position'),
)

/** Changes of the rooms' state after position `after`, up to `upTo`, in order. */
export async function stateChangesBetween(
  db: Db,
  roomIds: readonly RoomId[],
  after: number,
  upTo: number,
): Promise<StateChange[]> {
  if (roomIds.length === 0) return []
  if (roomIds.length === 1) return (await selectChangesOfRoom(db, { roomId: roomIds[0]!, after, upTo })).rows
  return db
    .selectFrom('state_changes')
    .selectAll()
    .where('room_id', 'in', roomIds)
    .where('position', '>', after)
    .where('position', '<=', upTo)
    .orderBy('position')
    .execute()
}

const selectMembershipChanges = prepared<{ userId: string; after: number; upTo: number }, StateChange>((db, value) =>
  db
    .selectFrom('state_changes')
    .selectAll()
    .where('state_key', '=', value('userId'))
    .where('membership', 'is not', null)
    .where('position', '>', value('after'))
    .where('position', '<=', value('upTo'))
    .orderBy('position'),
)

/** Changes of one user's memberships after position `after`, up to `upTo`, in order. */
export async function membershipChangesOf(db: Db, userId: string, after: number, upTo: number): Promise<StateChange[]> {
  return (await selectMembershipChanges(db, { userId, after, upTo })).rows
}

/** The wire forms (JSON) of the state now with an empty state key, of these types in these rooms. */
export async function currentPdus(
  db: Db,
  roomIds: readonly RoomId[],
  types: readonly string[],
): Promise<{ room_id: RoomId; type: string; pdu: string }[]> {
  if (roomIds.length === 0) return []
  return db
    .selectFrom('current_state')
    .innerJoin('events', 'events.event_id', 'current_state.event_id')
    .select(['current_state.room_id', 'current_state.type', 'events.pdu'])
    .where('current_state.room_id', 'in', roomIds)
    .where('current_state.type', 'in', types)
    .where('current_state.state_key', '=', '')
    .execute()
}

/** A user's last going from a room that they were in. */
export type Departure = { room_id: RoomId; position: number; event_id: EventId | null }

/** When one of our users last stopped being in each of these rooms; those that they never left are not among them. */
export async function lastDepartures(db: Db, userId: UserId, roomIds: readonly RoomId[]): Promise<Departure[]> {
  const last = new Map<RoomId, Departure>()
  for (const some of inParts(roomIds, 500)) {
    const rows = await db
      .selectFrom('state_changes')
      .select(['room_id', 'position', 'event_id'])
      .where('state_key', '=', userId)
      .where('room_id', 'in', some)
      .where('membership', 'is not', null)
      .where('membership', '!=', 'join')
      .where('prev_membership', '=', 'join')
      .orderBy('position')
      .execute()
    for (const row of rows) last.set(row.room_id, row)
  }
  return [...last.values()]
}

/** The wire forms (JSON) of the state now of one type in these rooms, whatever the state key. */
export async function currentPdusOfType(
  db: Db,
  roomIds: readonly RoomId[],
  type: string,
): Promise<{ room_id: RoomId; pdu: string }[]> {
  if (roomIds.length === 0) return []
  return db
    .selectFrom('current_state')
    .innerJoin('events', 'events.event_id', 'current_state.event_id')
    .select(['current_state.room_id', 'events.pdu'])
    .where('current_state.room_id', 'in', roomIds)
    .where('current_state.type', '=', type)
    .execute()
}
