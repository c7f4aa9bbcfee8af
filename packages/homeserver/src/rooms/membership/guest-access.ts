import { MatrixError } from '../../matrix/errors.ts'
import { stateEntry } from '../../matrix/events.ts'
import type { UserId } from '../../matrix/ids.ts'
import { localMembers } from '../../storage/memberships.ts'
import type { RoomParts } from '../ports.ts'
import { send } from '../send.ts'
import { stateView } from '../state-view.ts'
import type { WritableRoom } from '../writable-room.ts'

const GUEST_ACCESS = 'm.room.guest_access'

/** Whether guests may be in a room now. Client-server API, "Guest Access", "Server behaviour". */
async function admitsGuests(parts: Pick<RoomParts, 'events'>, room: WritableRoom): Promise<boolean> {
  const map = room.current?.map ?? new Map()
  const state = await stateView(parts, room.tx.db, room, map, [[GUEST_ACCESS, '']])
  return state(GUEST_ACCESS, '')?.content.guest_access === 'can_join'
}

/** @throws `M_GUEST_ACCESS_FORBIDDEN` */
export async function requireGuestAccess(parts: Pick<RoomParts, 'events'>, room: WritableRoom): Promise<void> {
  if (!(await admitsGuests(parts, room))) throw noGuests()
}

export const noGuests = () => new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot join this room')

/**
 * Has our guests leave a room that lets guests in no longer, in the transaction that changed it.
 * @param before the room as the transaction found it
 */
export async function seeGuestsOut(
  parts: RoomParts,
  room: WritableRoom,
  before: Pick<WritableRoom, 'current'>,
): Promise<void> {
  const entry = stateEntry(GUEST_ACCESS, '')
  if (!before.current || before.current.map.get(entry) === room.current?.map.get(entry)) return
  const members = (await localMembers(room.tx.db, room.roomId)).map((row) => row.user_id)
  await seeOut(parts, room, await parts.localUsers.guestsAmong(room.tx.db, members))
}

/** Has guests leave a room that lets none in. */
export async function seeOut(parts: RoomParts, room: WritableRoom, guests: readonly UserId[]): Promise<void> {
  if (guests.length === 0 || (await admitsGuests(parts, room))) return
  for (const guest of guests) {
    const content = { membership: 'leave', reason: 'This room is closed to guests' }
    await send(parts, room, { type: 'm.room.member', stateKey: guest, sender: guest, content })
  }
}
