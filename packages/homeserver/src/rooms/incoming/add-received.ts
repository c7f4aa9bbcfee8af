import type { RoomEvent, StateMap } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { authorize } from '../../state/authorization.ts'
import { eventFacts } from '../../storage/events.ts'
import type { EventStatus } from '../../storage/room-tables.ts'
import { type Appended, append } from '../append.ts'
import { judgeByAuthEvents, neededToJudge } from '../outliers.ts'
import type { RoomParts } from '../ports.ts'
import { resolveGroups, resolveMaps } from '../resolve.ts'
import { decisiveKeys, stateView } from '../state-view.ts'
import { differenceOf, type State } from '../states.ts'
import type { WritableRoom } from '../writable-room.ts'

/** A verified event, with what was found out about it without the database being held. */
export type Received = {
  event: RoomEvent
  /** The state after those of its `prev_events` that we do not have. */
  gaps: ReadonlyMap<EventId, StateMap>
  /** Whether the room's policy server, if there is one, recommends it. */
  recommended: boolean
  /** For an event of ours that comes from a policy server: who is to be told. */
  tell?: Appended['tell']
}

/** What became of it; `lacks_*`: nothing yet, since something is missing. */
export type Outcome = EventStatus | 'known' | 'lacks_prev_events' | 'lacks_auth_events' | 'no_place'

/**
 * Adds an event of another server to its room: the last checks, in the transaction that they hold for. What is not
 * allowed is kept as rejected, what is not allowed now as soft-failed. Server-server API, "Checks performed on receipt of a
 * PDU", 4 to 7.
 */
export async function addReceived(parts: RoomParts, room: WritableRoom, received: Received): Promise<Outcome> {
  const { event, gaps, tell = [] } = received
  const facts = await eventFacts(room.tx.db, [event.eventId, ...event.prevEvents])
  const isPlaced = (id: EventId) => {
    const fact = facts.get(id)
    return fact?.position != null && fact.room_id === room.roomId
  }
  if (facts.get(event.eventId)?.position != null) return 'known'
  // The room has its create event, and whatever else follows nothing has no place in it.
  if (event.prevEvents.length === 0 || event.type === 'm.room.create') return 'no_place'
  const missing = event.prevEvents.filter((id) => !isPlaced(id))
  if (missing.some((id) => !gaps.has(id))) return 'lacks_prev_events'
  const groups = event.prevEvents.filter(isPlaced).map((id) => facts.get(id)!.state_after!)
  const before = await stateBefore(
    parts,
    room,
    groups,
    missing.map((id) => gaps.get(id)!),
  )
  const status = await statusOf(parts, room, received, before)
  if (status === 'lacks_auth_events') return status
  await append(parts, room, { event, status, before, missing, tell: status === 'accepted' ? tell : [] })
  return status
}

/** The state after all events that one follows. @param groups of those that we have @param maps of the others */
async function stateBefore(
  parts: RoomParts,
  room: WritableRoom,
  groups: readonly number[],
  maps: readonly StateMap[],
): Promise<State> {
  const known =
    groups.length > 0 ? await resolveGroups(parts, room.tx, room, [...new Set(groups)], room.current) : undefined
  if (maps.length === 0) return known!
  const resolved = await resolveMaps(parts, room.tx.db, room.version, [...(known ? [known.map] : []), ...maps])
  const base = known ?? room.current
  const delta = differenceOf(base?.map ?? new Map(), resolved)
  return base && delta.size === 0 ? base : parts.states.derive(room.tx, room.roomId, base, delta)
}

async function statusOf(
  parts: RoomParts,
  room: WritableRoom,
  { event, recommended }: Received,
  before: State,
): Promise<EventStatus | 'lacks_auth_events'> {
  const { version, tx } = room
  const known = await parts.events.load(tx.db, version, neededToJudge(event, version))
  const auth = event.authEvents.map((id) => known.get(id))
  if (!auth.every((one) => one !== undefined)) return 'lacks_auth_events'
  const create = [...known.values()].find((one) => one.event.type === 'm.room.create')
  if (!judgeByAuthEvents(event, version, auth, create?.event).allowed) return 'rejected'
  const keys = decisiveKeys(event, version)
  const allows = async (map: StateMap) =>
    authorize(event, version, await stateView(parts, tx.db, room, map, keys)).allowed
  if (!(await allows(before.map))) return 'rejected'
  const isNow = room.current === undefined || room.current.id === before.id
  return recommended && (isNow || (await allows(room.current!.map))) ? 'accepted' : 'soft_failed'
}
