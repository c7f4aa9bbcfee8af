import type { EventId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { transactionIds } from '../storage/event-transactions.ts'
import { type EventRow, eventRows } from '../storage/events.ts'
import type { Db } from '../storage/store.ts'
import { type Bundles, bundlesOf } from './bundles.ts'
import { type ClientEvent, clientEvent } from './client-event.ts'
import { eventOf } from './events.ts'
import type { RoomParts } from './ports.ts'
import type { Viewer } from './viewers.ts'
import { type SeenEvent, seenEvents } from './visibility.ts'

/** An event to show. Of one that is shown as a part of a state, nothing is said of when the viewer saw it. */
export type ShownEvent = Pick<SeenEvent, 'row' | 'event' | 'version'> & Partial<SeenEvent>

export type ClientForm = {
  /** Whether events name their room, or what they stand in says it. */
  withRoomId: boolean
  /** Whether edits, threads and references come bundled with the events that they are about. */
  bundled: boolean
}

type Parts = Pick<RoomParts, 'events' | 'states' | 'versions' | 'serverName' | 'clock'>

/**
 * Events as clients get them, in the order given: everything that belongs to all of them is read at once. Client-server
 * API, "Room event format", "Aggregations of child events".
 */
export async function clientEvents(
  parts: Parts,
  db: Db,
  viewer: Viewer,
  shown: readonly ShownEvent[],
  form: ClientForm,
): Promise<ClientEvent[]> {
  const about = await readAbout(parts, db, viewer, shown)
  const bundles = form.bundled
    ? await bundlesOf(parts, db, viewer, shown, async (children) => {
        const nested = await readAbout(parts, db, viewer, children)
        return (child, relations) => toClient(parts, child, nested, relations, form)
      })
    : new Map<EventId, JsonObject>()
  return shown.map((one) => toClient(parts, one, about, bundles, form))
}

/** Events of a state, as clients get them. @param rows of events that the viewer may see as a part of that state */
export async function clientState(
  parts: Parts,
  db: Db,
  viewer: Viewer,
  rows: readonly EventRow[],
  form: Pick<ClientForm, 'withRoomId'>,
): Promise<ClientEvent[]> {
  const versions = await parts.versions.load(
    db,
    rows.map((row) => row.room_id),
  )
  const shown = rows.flatMap((row) => {
    const version = versions.get(row.room_id)
    return version ? [{ row, event: eventOf(row, version), version }] : []
  })
  return clientEvents(parts, db, viewer, shown, { ...form, bundled: false })
}

/** What `unsigned` tells about events, beside what relates to them. */
type About = {
  /** Replaced states and redactions. */
  rows: ReadonlyMap<EventId, EventRow>
  txnIds: ReadonlyMap<EventId, string>
  /** Replaced states whose content the viewer may know. */
  mayKnow: ReadonlySet<EventId>
}

async function readAbout(parts: Parts, db: Db, viewer: Viewer, shown: readonly ShownEvent[]): Promise<About> {
  const wanted = new Set(shown.flatMap(({ row, replaces }) => [row.redacted_by ?? [], replaces ?? []].flat()))
  const rows = new Map((wanted.size > 0 ? await eventRows(db, [...wanted]) : []).map((row) => [row.event_id, row]))
  const { userId, deviceId } = viewer
  const own = shown.filter(({ event }) => event.sender === userId).map(({ event }) => event.eventId)
  const txnIds = deviceId === undefined ? new Map() : await transactionIds(db, { userId, deviceId }, own)
  return { rows, txnIds, mayKnow: await mayKnow(parts, db, viewer, shown, rows) }
}

/** Whoever was in a room knows its state; of others it has to be looked at what they may see. */
async function mayKnow(
  parts: Parts,
  db: Db,
  viewer: Viewer,
  shown: readonly ShownEvent[],
  rows: ReadonlyMap<EventId, EventRow>,
): Promise<Set<EventId>> {
  const known = new Set<EventId>()
  const unsure: EventRow[] = []
  for (const { replaces, wasJoined, event } of shown) {
    const row = replaces && rows.get(replaces)
    if (!row) continue
    const isOwn = event.type === 'm.room.member' && event.stateKey === viewer.userId
    if (wasJoined || isOwn) known.add(row.event_id)
    else unsure.push(row)
  }
  if (unsure.length === 0) return known
  for (const { row } of await seenEvents(parts, db, viewer, unsure)) known.add(row.event_id)
  return known
}

function toClient(parts: Parts, shown: ShownEvent, about: About, bundles: Bundles, form: ClientForm): ClientEvent {
  const { row, event, version, membership, replaces } = shown
  const unsigned: JsonObject = { age: parts.clock.now() - event.originServerTs }
  const txnId = about.txnIds.get(event.eventId)
  if (txnId !== undefined) unsigned.transaction_id = txnId
  if (membership !== undefined) unsigned.membership = membership
  const redaction = row.redacted_by && about.rows.get(row.redacted_by)
  if (redaction) {
    const because = eventOf(redaction, version)
    const age = { age: parts.clock.now() - because.originServerTs }
    // The ID by itself is no part of the specification; clients and bots look at it, since other servers give it.
    unsigned.redacted_by = because.eventId
    unsigned.redacted_because = clientEvent(because, version, age, form) as unknown as JsonObject
  }
  const previous = replaces && about.rows.get(replaces)
  if (replaces !== undefined) unsigned.replaces_state = replaces
  if (previous && about.mayKnow.has(previous.event_id)) {
    unsigned.prev_content = eventOf(previous, version).content
    unsigned.prev_sender = previous.sender
  }
  const relations = bundles.get(event.eventId)
  if (relations) unsigned['m.relations'] = relations
  return clientEvent(event, version, unsigned, form)
}
