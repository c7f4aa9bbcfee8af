import type { StateMap } from '../matrix/events.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { resolveState } from '../state/resolution/resolve-state.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { withAuthChain } from '../storage/event-graph.ts'
import type { Db, Tx } from '../storage/store.ts'
import type { RoomParts } from './ports.ts'
import { differenceOf, type State } from './states.ts'
import type { WritableRoom } from './writable-room.ts'

/** The state after all of a room's extremities. @param newest that after one of them, which is at hand */
export async function stateAfterAll(parts: RoomParts, room: WritableRoom, newest: State): Promise<State> {
  const groups = [...new Set(room.extremities.map(({ stateAfter }) => stateAfter))]
  if (groups.length === 1 && groups[0] === newest.id) return newest
  return resolveGroups(parts, room.tx, room, groups, newest)
}

/**
 * One state out of several. Room versions, "State resolution".
 * @param groups IDs of state groups, at least one
 * @param near a state that the result is likely to be like
 */
export async function resolveGroups(
  parts: Pick<RoomParts, 'states' | 'events'>,
  tx: Tx,
  room: { roomId: RoomId; version: RoomVersion },
  groups: readonly number[],
  near?: State,
): Promise<State> {
  const states = [...(await parts.states.loadAll(tx.db, groups)).values()]
  if (states.length === 1) return states[0]!
  const resolved = await resolveMaps(
    parts,
    tx.db,
    room.version,
    states.map((state) => state.map),
  )
  const same = states.find((state) => differenceOf(state.map, resolved).size === 0)
  if (same) return same
  const base = near ?? states[0]!
  return parts.states.derive(tx, room.roomId, base, differenceOf(base.map, resolved))
}

/** Resolves states that may not be kept. */
export async function resolveMaps(
  { events }: Pick<RoomParts, 'events'>,
  db: Db,
  version: RoomVersion,
  maps: readonly StateMap[],
): Promise<StateMap> {
  const [first, ...others] = maps
  if (others.every((other) => differenceOf(first!, other).size === 0)) return first!
  const ids = [...new Set<EventId>(maps.flatMap((map) => [...map.values()]))]
  const known = await events.load(db, version, await withAuthChain(db, ids))
  const values = new Map([...known].map(([id, { event }]) => [id, event]))
  const rejected = new Set([...known].filter(([, { rejected }]) => rejected).map(([id]) => id))
  return resolveState(version, maps, values, rejected)
}
