import { type RoomEvent, stateEntry } from '../matrix/events.ts'
import { type EventId, type ServerName, serverNameOf } from '../matrix/ids.ts'
import { addEvent, noteMissing } from '../storage/events.ts'
import { queueEvent } from '../storage/outgoing-events.ts'
import { serversIn } from '../storage/room-population.ts'
import type { EventStatus } from '../storage/room-tables.ts'
import { applyStateChanges } from './current-state.ts'
import type { RoomParts } from './ports.ts'
import { isWithheld, redactWhatIsDue } from './redactions.ts'
import { relationOf } from './relations.ts'
import { stateAfterAll } from './resolve.ts'
import { keepText } from './searchable-text.ts'
import { differenceOf, type State } from './states.ts'
import type { WritableRoom } from './writable-room.ts'

/** An event that has passed (or failed) the rules, and where it belongs. */
export type Appended = {
  event: RoomEvent
  /** What the rules said. Default: accepted. */
  status?: EventStatus
  /** The state before it; `undefined` for a create event alone. */
  before: State | undefined
  /** Those of its `prev_events` that we do not have. */
  missing?: readonly EventId[]
  /** Servers to tell, those in the room before it if it is said to be `everybody`. Default: nobody. */
  tell?: 'everybody' | readonly ServerName[]
}

/**
 * Adds an event to the graph of its room: the event, the state after it, the state now, members and what follows from
 * them, what other servers are owed and whom to wake, all in the room's transaction.
 * @returns its place in the stream
 */
export async function append(parts: RoomParts, room: WritableRoom, added: Appended): Promise<number> {
  const { event, status = 'accepted', before, missing = [] } = added
  const { tx } = room
  const changesState = event.stateKey !== undefined && status !== 'rejected'
  const after = changesState ? await parts.states.derive(tx, room.roomId, before, entryOf(event)) : before!
  const destinations = await destinationsOf(parts, room, added)
  const position = await tx.nextPosition()
  const relation = relationOf(event.content)
  const withheld = status === 'accepted' && (await isWithheld(parts, room, event))
  await addEvent(tx.db, event, {
    position,
    status: withheld ? 'withheld' : status,
    stateBefore: before?.id ?? null,
    stateAfter: after.id,
    relatesTo: relation?.eventId,
    relType: relation?.type,
  })
  // An event of another server may have been known outside of the graph.
  const keep = serverNameOf(event.sender) === parts.serverName ? parts.events.remember : parts.events.replace
  keep(tx, { event, rejected: status === 'rejected' })
  const follows = await noteMissing(tx.db, event, missing)
  if (status === 'accepted') await accept(parts, room, added, after, position, follows)
  if (status === 'accepted' && !withheld) await show(parts, room, event, position)
  if (destinations.length > 0) {
    await queueEvent(tx.db, destinations, { position, eventId: event.eventId, roomId: room.roomId })
    tx.afterCommit(() => parts.watchers.wakeSender(destinations))
  }
  return position
}

async function accept(
  parts: RoomParts,
  room: WritableRoom,
  { event, before }: Appended,
  after: State,
  position: number,
  isFollowed: boolean,
): Promise<void> {
  room.depth = Math.max(room.depth, event.depth)
  room.lastPosition = position
  const followed = new Set(event.prevEvents)
  const rest = room.extremities.filter(({ eventId }) => !followed.has(eventId))
  const own = { eventId: event.eventId, depth: event.depth, stateAfter: after.id }
  // An event that came late has something behind it already.
  room.extremities = isFollowed && rest.length > 0 ? rest : [...rest, own]
  const current = await stateAfterAll(parts, room, after)
  if (current.id !== room.current?.id) {
    // The common case: one event more on the state now.
    const isNext = current === after && before?.id === room.current?.id
    const delta = isNext ? entryOf(event) : differenceOf(room.current?.map ?? new Map(), current.map)
    await applyStateChanges(parts, room, current, delta, position, event)
  }
}

/** What clients are shown, and what follows from that. */
async function show(parts: RoomParts, room: WritableRoom, event: RoomEvent, position: number): Promise<void> {
  const shown = await redactWhatIsDue(parts, room, event)
  await keepText(room.tx.db, shown)
  await parts.watchers.eventsAdded(room.tx, [{ event: shown, version: room.version, position }])
  room.tx.wake([room.roomId])
}

/** What a state event changes of the state before it. */
function entryOf(event: RoomEvent): Map<string, EventId> {
  return new Map([[stateEntry(event.type, event.stateKey!), event.eventId]])
}

async function destinationsOf(parts: RoomParts, room: WritableRoom, { event, tell = [] }: Appended) {
  if (tell !== 'everybody') return tell.filter((server) => server !== parts.serverName)
  if (event.type === 'm.room.create') return []
  const servers = await serversIn(room.tx.db, room.roomId)
  const sender = serverNameOf(event.sender)
  return servers.filter((server) => server !== parts.serverName && server !== sender)
}
