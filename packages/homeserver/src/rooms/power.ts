import type { StateKeyTuple } from '../matrix/events.ts'
import type { UserId } from '../matrix/ids.ts'
import { type PowerLevels, powerLevels } from '../state/power-levels.ts'
import { membershipOf } from '../state/state-view.ts'
import type { RoomParts } from './ports.ts'
import { stateView } from './state-view.ts'
import type { WritableRoom } from './writable-room.ts'

/** Whether a user is in the room and has the power to send state events of a type. */
export async function mayChangeState(
  parts: Pick<RoomParts, 'events'>,
  room: WritableRoom,
  userId: UserId,
  type: string,
): Promise<boolean> {
  const levels = await levelsOfMember(parts, room, userId)
  return levels !== undefined && levels.of(userId) >= levels.needed(type, true)
}

/** The levels that hold in a room now; `undefined` for whoever is not in it. */
async function levelsOfMember(
  parts: Pick<RoomParts, 'events'>,
  room: WritableRoom,
  userId: UserId,
): Promise<PowerLevels | undefined> {
  if (!room.current) return undefined
  const keys: StateKeyTuple[] = [
    ['m.room.create', ''],
    ['m.room.power_levels', ''],
    ['m.room.member', userId],
  ]
  const state = await stateView(parts, room.tx.db, room, room.current.map, keys)
  return membershipOf(state, userId) === 'join' ? powerLevels(room.version, state) : undefined
}
