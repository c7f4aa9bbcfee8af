import { sql } from 'kysely'
import type { EventId, RoomId, ServerName } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** Queues an event for servers. */
export async function queueEvent(
  db: Db,
  destinations: readonly ServerName[],
  { position, eventId, roomId }: { position: number; eventId: EventId; roomId: RoomId },
): Promise<void> {
  for (const some of inParts(destinations, 500)) {
    await db
      .insertInto('outgoing_events')
      .values(some.map((destination) => ({ destination, position, event_id: eventId, room_id: roomId })))
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
}

// From one destination's entry in the index to the next one's: a queue may be long.
const selectDestinations = prepared<Record<never, never>, { destination: ServerName }>((db) => {
  const next = sql`select min(destination) from outgoing_events`
  const all = sql<{ destination: ServerName }>`(
    with recursive found(destination) as (
      ${next}
      union all
      select (${next} where outgoing_events.destination > found.destination)
      from found where found.destination is not null
    )
    select destination from found where destination is not null
  )`
  return db.selectFrom(all.as('destinations')).select('destinations.destination')
})

/** The servers that are owed events. */
export async function destinationsOwedEvents(db: Db): Promise<ServerName[]> {
  return (await selectDestinations(db, {})).rows.map((row) => row.destination)
}

const selectQueued = prepared<{ destination: ServerName; limit: number }, { position: number; pdu: string | null }>(
  (db, value) =>
    db
      .selectFrom('outgoing_events')
      .leftJoin('events', 'events.event_id', 'outgoing_events.event_id')
      .select(['outgoing_events.position', 'events.pdu'])
      .where('outgoing_events.destination', '=', value('destination'))
      .orderBy('outgoing_events.position')
      .limit(value('limit')),
)

/** The oldest events that a server is owed, as JSON texts, in the order in which they came about; `null` for one that is gone. */
export async function queuedEvents(
  db: Db,
  destination: ServerName,
  limit: number,
): Promise<{ position: number; pdu: string | null }[]> {
  return (await selectQueued(db, { destination, limit })).rows
}

/** Takes events off the queue of a server. */
export async function dequeueEvents(db: Db, destination: ServerName, positions: readonly number[]): Promise<void> {
  if (positions.length === 0) return
  await db
    .deleteFrom('outgoing_events')
    .where('destination', '=', destination)
    .where('position', 'in', positions)
    .execute()
}

/** The servers that are owed more than `limit` events. */
export async function destinationsFarBehind(db: Db, limit: number): Promise<ServerName[]> {
  const rows = await db
    .selectFrom('outgoing_events')
    .select('destination')
    .groupBy('destination')
    .having((eb) => eb(eb.fn.countAll<number>(), '>', limit))
    .execute()
  return rows.map((row) => row.destination)
}

/** Leaves of the events that a server is owed the newest of each room. */
export async function dropAllButNewest(db: Db, destination: ServerName): Promise<void> {
  await db
    .deleteFrom('outgoing_events')
    .where('destination', '=', destination)
    .where('position', 'not in', (eb) =>
      eb
        .selectFrom('outgoing_events as newest')
        .select((select) => select.fn.max('newest.position').as('position'))
        .where('newest.destination', '=', destination)
        .groupBy('newest.room_id'),
    )
    .execute()
}
