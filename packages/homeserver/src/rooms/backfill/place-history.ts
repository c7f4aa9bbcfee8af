import { type RoomEvent, type StateMap, stateEntry } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { authorize } from '../../state/authorization.ts'
import { addEvent, eventFacts, noteMissing } from '../../storage/events.ts'
import { takeOldestPositions } from '../../storage/rooms.ts'
import { judgeByAuthEvents, neededToJudge } from '../outliers.ts'
import type { RoomParts } from '../ports.ts'
import { isWithheld, redactWhatIsDue } from '../redactions.ts'
import { relationOf } from '../relations.ts'
import { resolveGroups } from '../resolve.ts'
import { keepText } from '../searchable-text.ts'
import { decisiveKeys, stateView } from '../state-view.ts'
import { differenceOf, type State } from '../states.ts'
import type { WritableRoom } from '../writable-room.ts'

/** Events of before those that we have, with the states before some of them that other servers have told. */
export type History = { events: readonly RoomEvent[]; states: ReadonlyMap<EventId, StateMap> }

type Placed = { event: RoomEvent; before: State | undefined; after: State; rejected: boolean; missing: EventId[] }

/**
 * Gives older events their places before all that the room has, with the state at each. What the room is like now does not
 * change, and nobody is told.
 * @param history in order, each event behind those that it follows
 * @returns how many events clients can be shown that they could not before
 */
export async function placeHistory(parts: RoomParts, room: WritableRoom, history: History): Promise<number> {
  const { tx } = room
  const placed = await judgeHistory(parts, room, history)
  if (placed.length === 0) return 0
  const lowest = await takeOldestPositions(tx.db, room.roomId, placed.length)
  for (const [index, { event, before, after, rejected, missing }] of placed.entries()) {
    const relation = relationOf(event.content)
    const withheld = !rejected && (await isWithheld(parts, room, event))
    await addEvent(tx.db, event, {
      position: lowest + index,
      status: rejected ? 'rejected' : withheld ? 'withheld' : 'accepted',
      stateBefore: before?.id ?? null,
      stateAfter: after.id,
      relatesTo: relation?.eventId,
      relType: relation?.type,
    })
    parts.events.replace(tx, { event, rejected })
    await noteMissing(tx.db, event, missing)
    if (!rejected && !withheld) await keepText(tx.db, await redactWhatIsDue(parts, room, event))
  }
  return placed.filter((one) => !one.rejected).length
}

async function judgeHistory(parts: RoomParts, room: WritableRoom, { events, states }: History): Promise<Placed[]> {
  const facts = await eventFacts(
    room.tx.db,
    events.flatMap((event) => [event.eventId, ...event.prevEvents]),
  )
  const groups = new Map<EventId, number>()
  for (const fact of facts.values()) {
    if (fact.position !== null && fact.room_id === room.roomId) groups.set(fact.event_id, fact.state_after!)
  }
  const placed: Placed[] = []
  const fresh = new Map<EventId, RoomEvent>()
  for (const event of events) {
    if (groups.has(event.eventId)) continue
    const one = await judge(parts, room, event, groups, states.get(event.eventId), fresh)
    if (!one) continue
    placed.push(one)
    groups.set(event.eventId, one.after.id)
    if (!one.rejected) fresh.set(event.eventId, event)
  }
  return placed
}

/** @param groups the states after events that have a place @param fresh events that get their places with this one */
async function judge(
  parts: RoomParts,
  room: WritableRoom,
  event: RoomEvent,
  groups: ReadonlyMap<EventId, number>,
  told: StateMap | undefined,
  fresh: ReadonlyMap<EventId, RoomEvent>,
): Promise<Placed | undefined> {
  const missing = event.prevEvents.filter((id) => !groups.has(id))
  if ((missing.length > 0 && !told) || (event.prevEvents.length === 0 && event.type !== 'm.room.create'))
    return undefined
  const before = await stateBefore(parts, room, event, groups, told)
  const allowed = await isAllowed(parts, room, event, before, fresh)
  if (allowed === undefined || (!allowed && !before)) return undefined
  const entry = event.stateKey === undefined || !allowed ? undefined : stateEntry(event.type, event.stateKey)
  const after = entry
    ? await parts.states.derive(room.tx, room.roomId, before, new Map([[entry, event.eventId]]))
    : before!
  return { event, before, after, rejected: !allowed, missing }
}

async function stateBefore(
  parts: RoomParts,
  room: WritableRoom,
  event: RoomEvent,
  groups: ReadonlyMap<EventId, number>,
  told: StateMap | undefined,
): Promise<State | undefined> {
  if (event.prevEvents.length === 0) return undefined
  if (!told) return resolveGroups(parts, room.tx, room, [...new Set(event.prevEvents.map((id) => groups.get(id)!))])
  return parts.states.derive(room.tx, room.roomId, room.current, differenceOf(room.current?.map ?? new Map(), told))
}

/** By its auth events and by the state before it. @returns `undefined` where auth events are missing */
async function isAllowed(
  parts: RoomParts,
  room: WritableRoom,
  event: RoomEvent,
  before: State | undefined,
  fresh: ReadonlyMap<EventId, RoomEvent>,
): Promise<boolean | undefined> {
  const { version, tx } = room
  const known = await parts.events.load(tx.db, version, neededToJudge(event, version))
  for (const id of neededToJudge(event, version)) {
    const one = fresh.get(id)
    if (one) known.set(id, { event: one, rejected: false })
  }
  const auth = event.authEvents.map((id) => known.get(id))
  if (!auth.every((one) => one !== undefined)) return undefined
  const create = [...known.values()].find((one) => one.event.type === 'm.room.create')
  if (!judgeByAuthEvents(event, version, auth, create?.event).allowed) return false
  if (!before) return true
  const keys = decisiveKeys(event, version)
  const view = await stateView(parts, tx.db, room, before.map, keys)
  const look = (type: string, stateKey: string) =>
    view(type, stateKey) ?? fresh.get(before.map.get(stateEntry(type, stateKey))!)
  return authorize(event, version, look).allowed
}
