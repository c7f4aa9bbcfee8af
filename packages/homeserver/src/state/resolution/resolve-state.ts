import type { RoomEvent, StateMap } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import type { RoomVersion } from '../room-versions.ts'

/** The first of several states: what stands here until the algorithms of the room versions do. */
export function resolveState(
  _version: RoomVersion,
  sets: readonly StateMap[],
  _events: ReadonlyMap<EventId, RoomEvent>,
  _rejected: ReadonlySet<EventId>,
): StateMap {
  return sets[0]!
}
