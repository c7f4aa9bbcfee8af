import type { RoomEvent } from '../matrix/events.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { EventStatus, EventsTable } from './room-tables.ts'
import type { Db } from './store.ts'

/** An event as it is kept; `pdu` is its wire form as JSON text. */
export type EventRow = EventsTable

/** Where an event that is added stands, and what was found about it. */
export type Placement = {
  /** `null` for an event outside of the graph. */
  position: number | null
  status: EventStatus
  stateBefore: number | null
  stateAfter: number | null
  /** The event that this one is about, and how. Client-server API, "Forming relationships between events". */
  relatesTo: EventId | undefined
  relType: string | undefined
}

const insertEvent = prepared<Record<keyof EventsTable, unknown>>((db, value) =>
  db
    .insertInto('events')
    .values({
      event_id: value('event_id') as EventId,
      room_id: value('room_id') as RoomId,
      position: value('position') as number,
      depth: value('depth') as number,
      type: value('type') as string,
      state_key: value('state_key') as string,
      sender: value('sender') as never,
      origin_server_ts: value('origin_server_ts') as number,
      status: value('status') as EventStatus,
      state_before: value('state_before') as number,
      state_after: value('state_after') as number,
      pdu: value('pdu') as string,
      redacts: value('redacts') as EventId,
      redacted_by: value('redacted_by') as EventId,
      relates_to: value('relates_to') as EventId,
      rel_type: value('rel_type') as string,
    })
    // An event that was known outside of the graph gets its place in it.
    .onConflict((conflict) =>
      conflict.column('event_id').doUpdateSet((eb) => ({
        position: eb.ref('excluded.position'),
        status: eb.ref('excluded.status'),
        state_before: eb.ref('excluded.state_before'),
        state_after: eb.ref('excluded.state_after'),
        relates_to: eb.ref('excluded.relates_to'),
        rel_type: eb.ref('excluded.rel_type'),
      })),
    ),
)

/** Adds an event, or gives one that stood outside of the graph its place in it. */
export async function addEvent(db: Db, event: RoomEvent, at: Placement): Promise<void> {
  await insertEvent(db, {
    ...columnsOf(event),
    position: at.position,
    status: at.status,
    state_before: at.stateBefore,
    state_after: at.stateAfter,
    relates_to: at.relatesTo ?? null,
    rel_type: at.relType ?? null,
  })
  if (event.stateKey !== undefined) await addAuthEdges(db, [event])
}

/** Adds events outside of the graph, those that are known already excepted. */
export async function addOutliers(db: Db, events: readonly { event: RoomEvent; rejected: boolean }[]): Promise<void> {
  for (const some of inParts(events, OUTLIERS_AT_ONCE)) {
    await db
      .insertInto('events')
      .values(
        some.map(({ event, rejected }) => ({
          ...columnsOf(event),
          position: null,
          status: rejected ? ('rejected' as const) : ('accepted' as const),
          state_before: null,
          state_after: null,
          relates_to: null,
          rel_type: null,
        })),
      )
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    await addAuthEdges(
      db,
      some.map(({ event }) => event).filter((event) => event.stateKey !== undefined),
    )
  }
}

/** One statement has room for so many: both databases bound the number of its values. */
const OUTLIERS_AT_ONCE = 200

function columnsOf(event: RoomEvent) {
  return {
    event_id: event.eventId,
    room_id: event.roomId,
    depth: event.depth,
    type: event.type,
    state_key: event.stateKey ?? null,
    sender: event.sender,
    origin_server_ts: event.originServerTs,
    pdu: JSON.stringify(event.pdu),
    redacts: event.redacts ?? null,
    redacted_by: null,
  }
}

async function addAuthEdges(db: Db, events: readonly RoomEvent[]): Promise<void> {
  const rows = events.flatMap((event) => event.authEvents.map((auth_id) => ({ event_id: event.eventId, auth_id })))
  for (const some of inParts(rows, 500)) {
    await db
      .insertInto('event_auth')
      .values(some)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
}

const selectEvent = prepared<{ eventId: EventId }, EventRow>((db, value) =>
  db.selectFrom('events').selectAll().where('event_id', '=', value('eventId')),
)

export async function eventRow(db: Db, eventId: EventId): Promise<EventRow | undefined> {
  return (await selectEvent(db, { eventId })).rows[0]
}

/** The events that are known, in no order. */
export async function eventRows(db: Db, eventIds: readonly EventId[]): Promise<EventRow[]> {
  if (eventIds.length === 1) return (await selectEvent(db, { eventId: eventIds[0]! })).rows
  const rows: EventRow[] = []
  for (const some of inParts(eventIds, 500)) {
    rows.push(...(await db.selectFrom('events').selectAll().where('event_id', 'in', some).execute()))
  }
  return rows
}

/** What is known of events without reading them. */
export type EventFacts = Pick<EventRow, 'event_id' | 'room_id' | 'position' | 'depth' | 'status' | 'state_after'>

/** The facts of those events that are known. */
export async function eventFacts(db: Db, eventIds: readonly EventId[]): Promise<Map<EventId, EventFacts>> {
  const facts = new Map<EventId, EventFacts>()
  for (const some of inParts(eventIds, 500)) {
    const rows = await db
      .selectFrom('events')
      .select(['event_id', 'room_id', 'position', 'depth', 'status', 'state_after'])
      .where('event_id', 'in', some)
      .execute()
    for (const row of rows) facts.set(row.event_id, row)
  }
  return facts
}

/** Marks an event as redacted, and puts its redacted form in its place. */
export async function saveRedacted(db: Db, event: RoomEvent, redactedBy: EventId): Promise<void> {
  await db
    .updateTable('events')
    .set({ pdu: JSON.stringify(event.pdu), redacted_by: redactedBy, relates_to: null, rel_type: null })
    .where('event_id', '=', event.eventId)
    .execute()
}

/** Shows clients a redaction that redacts something now. */
export async function showRedaction(db: Db, eventId: EventId): Promise<void> {
  await db
    .updateTable('events')
    .set({ status: 'accepted' })
    .where('event_id', '=', eventId)
    .where('status', '=', 'withheld')
    .execute()
}

/** Accepted redactions of an event that came before it, those that are withheld among them. */
export async function redactionsOf(db: Db, eventId: EventId): Promise<EventRow[]> {
  return db
    .selectFrom('events')
    .selectAll()
    .where('redacts', '=', eventId)
    .where('status', 'in', ['accepted', 'withheld'])
    .where('position', 'is not', null)
    .orderBy('position')
    .execute()
}

const deleteMissing = prepared<{ roomId: RoomId; eventId: EventId }>((db, value) =>
  db.deleteFrom('missing_events').where('room_id', '=', value('roomId')).where('event_id', '=', value('eventId')),
)

/**
 * Notes what is missing behind an event, and takes the event itself off the list of what is.
 * @returns whether the event was missing: another one follows it already
 */
export async function noteMissing(db: Db, event: RoomEvent, missing: readonly EventId[]): Promise<boolean> {
  const { numAffectedRows = 0n } = await deleteMissing(db, { roomId: event.roomId, eventId: event.eventId })
  if (missing.length > 0) {
    await db
      .insertInto('missing_events')
      .values(missing.map((event_id) => ({ room_id: event.roomId, event_id, depth: event.depth })))
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
  return numAffectedRows > 0n
}

/** What is missing in a room: the nearest to the present first. `depth` is that of an event which follows it. */
export async function missingEvents(
  db: Db,
  roomId: RoomId,
  limit: number,
): Promise<{ eventId: EventId; depth: number }[]> {
  const rows = await db
    .selectFrom('missing_events')
    .select(['event_id', 'depth'])
    .where('room_id', '=', roomId)
    .orderBy('depth', 'desc')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ eventId: row.event_id, depth: row.depth }))
}

/** The wire forms of the events that are known, as JSON text, in no order. */
export async function pduTexts(db: Db, eventIds: readonly EventId[]): Promise<string[]> {
  const texts: string[] = []
  for (const some of inParts(eventIds, 500)) {
    const rows = await db.selectFrom('events').select('pdu').where('event_id', 'in', some).execute()
    for (const row of rows) texts.push(row.pdu)
  }
  return texts
}
