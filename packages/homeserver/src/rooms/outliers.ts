import { type RoomEvent, stateEntry } from '../matrix/events.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { createBreathe } from '../platform/breathe.ts'
import { checkAuthEvents } from '../state/auth-events.ts'
import { type Authorization, authorize } from '../state/authorization.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { addOutliers } from '../storage/events.ts'
import type { Db, Tx } from '../storage/store.ts'
import type { KnownEvent } from './events.ts'
import type { RoomParts } from './ports.ts'

type Room = { roomId: RoomId; version: RoomVersion }

/**
 * Whether the events that authorize an event allow it. Server-server API, "Checks performed on receipt of a PDU", 4.
 * @param auth all that it names
 * @param create the room's create event, which in room version 12 and later nothing names
 */
export function judgeByAuthEvents(
  event: RoomEvent,
  version: RoomVersion,
  auth: readonly KnownEvent[],
  create: RoomEvent | undefined,
): Authorization {
  const rejected = new Set(auth.filter((known) => known.rejected).map((known) => known.event.eventId))
  const events = auth.map((known) => known.event)
  const links = checkAuthEvents(event, version, events, (eventId) => rejected.has(eventId))
  if (!links.allowed) return links
  const byEntry = new Map(events.map((one) => [stateEntry(one.type, one.stateKey ?? ''), one]))
  if (version.roomIdIsCreateEvent && create) byEntry.set(stateEntry('m.room.create', ''), create)
  return authorize(event, version, (type, stateKey) => byEntry.get(stateEntry(type, stateKey)))
}

/** What has to be known to judge an event: those that authorize it, and the create event where its room is named by it. */
export function neededToJudge(event: RoomEvent, version: RoomVersion): EventId[] {
  const create = version.roomIdIsCreateEvent && event.type !== 'm.room.create' ? [createEventId(event.roomId)] : []
  return [...event.authEvents, ...create]
}

/** Of a room version that names rooms so. */
function createEventId(roomId: RoomId): EventId {
  return `$${roomId.slice(1)}` as EventId
}

/**
 * Judges verified events by those that authorize them, which have to be among them or known already: state and auth
 * chains as other servers give them. However deep a chain is, and whatever cycles are claimed, it takes one pass.
 * @returns those that could be judged, each behind what authorizes it; the rest lacks something
 */
export async function judgeOutliers(
  { events }: Pick<RoomParts, 'events'>,
  db: Db,
  { roomId, version }: Room,
  given: readonly RoomEvent[],
): Promise<KnownEvent[]> {
  const batch = new Map(given.filter((event) => event.roomId === roomId).map((event) => [event.eventId, event]))
  const outside = new Set<EventId>()
  for (const event of batch.values()) {
    for (const id of neededToJudge(event, version)) if (!batch.has(id)) outside.add(id)
  }
  const known = await events.load(db, version, outside)
  const judged: KnownEvent[] = []
  const breathe = createBreathe()
  for (const event of authFirst(batch, version)) {
    await breathe()
    const auth = event.authEvents.map((id) => known.get(id))
    if (!auth.every((one) => one !== undefined)) continue
    const create = version.roomIdIsCreateEvent ? known.get(createEventId(roomId)) : undefined
    const verdict = judgeByAuthEvents(event, version, auth, create?.event)
    const one = { event, rejected: !verdict.allowed }
    known.set(event.eventId, one)
    judged.push(one)
  }
  return judged
}

/** Each event behind those of the batch that it needs; what is part of a cycle comes not at all. */
function authFirst(batch: ReadonlyMap<EventId, RoomEvent>, version: RoomVersion): RoomEvent[] {
  const waitsFor = new Map<EventId, number>()
  const waiters = new Map<EventId, RoomEvent[]>()
  for (const event of batch.values()) {
    const needed = [...new Set(neededToJudge(event, version))].filter((id) => batch.has(id))
    waitsFor.set(event.eventId, needed.length)
    for (const id of needed) {
      const waiting = waiters.get(id)
      if (waiting) waiting.push(event)
      else waiters.set(id, [event])
    }
  }
  const ready = [...batch.values()].filter((event) => waitsFor.get(event.eventId) === 0)
  for (const event of ready) {
    for (const waiter of waiters.get(event.eventId) ?? []) {
      const left = waitsFor.get(waiter.eventId)! - 1
      waitsFor.set(waiter.eventId, left)
      if (left === 0) ready.push(waiter)
    }
  }
  return ready
}

/** Keeps judged events outside of the graph; those that are known already stay as they are. */
export async function storeOutliers(
  { events }: Pick<RoomParts, 'events'>,
  tx: Tx,
  judged: readonly KnownEvent[],
): Promise<void> {
  await addOutliers(tx.db, judged)
  for (const one of judged) events.remember(tx, one)
}
