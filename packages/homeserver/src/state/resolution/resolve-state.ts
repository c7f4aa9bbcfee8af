import type { RoomEvent, StateMap } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import type { RoomVersion } from '../room-versions.ts'
import { divide } from './conflicts.ts'
import { resolveV1 } from './resolve-v1.ts'
import { resolveV2 } from './resolve-v2.ts'

/**
 * The state that several states of a room come to where they meet. The same whatever order the states and the events are
 * in. Room versions, "State resolution".
 * @param sets the states, such as those after each of an event's `prev_events`
 * @param events every event of the states and of their auth chains, as far as known; one that is missing has no say
 * @param rejected those of the events that were rejected
 */
export function resolveState(
  version: RoomVersion,
  sets: readonly StateMap[],
  events: ReadonlyMap<EventId, RoomEvent>,
  rejected: ReadonlySet<EventId> = new Set(),
): StateMap {
  const distinct = [...new Set(sets)]
  if (distinct.length <= 1) return distinct[0] ?? new Map()
  const division = divide(distinct, version.resolution !== 'v1')
  if (division.conflicted.size === 0) return division.unconflicted
  if (version.resolution === 'v1') return resolveV1(version, division, events)
  return resolveV2(version, distinct, division, events, rejected)
}
