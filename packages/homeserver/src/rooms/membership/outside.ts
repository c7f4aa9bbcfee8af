import { MatrixError } from '../../matrix/errors.ts'
import type { RoomEvent } from '../../matrix/events.ts'
import type { ServerName, UserId } from '../../matrix/ids.ts'
import type { RoomVersion } from '../../state/room-versions.ts'
import { addOutliers, eventFacts } from '../../storage/events.ts'
import { membershipRow, saveMemberships } from '../../storage/memberships.ts'
import { addStateChanges } from '../../storage/room-state.ts'
import { addRoom, lockedRoomRow } from '../../storage/rooms.ts'
import type { Tx } from '../../storage/store.ts'
import { saveStrippedState } from '../../storage/stripped-state.ts'
import { membershipRowOf } from '../current-state.ts'
import type { RoomParts } from '../ports.ts'
import { strippedText } from './stripped-state.ts'

/**
 * Notes the membership of one of our users in a room that we are not in: an invitation, a knock, or the end of one. Its
 * clients hear of it. What is known already changes nothing.
 * @param shown what clients are shown of the room, and the server that showed it; `undefined` leaves that as it was
 * @throws 400 `M_INCOMPATIBLE_ROOM_VERSION` if the room is known to be of another version
 */
export async function noteOutside(
  parts: RoomParts,
  tx: Tx,
  version: RoomVersion,
  event: RoomEvent,
  shown?: { events: readonly RoomEvent[]; toldBy: ServerName },
): Promise<void> {
  const { roomId } = event
  const userId = event.stateKey as UserId
  await addRoom(tx.db, roomId, version.id, parts.clock.now())
  const room = await lockedRoomRow(tx.db, roomId)
  if (room?.version !== version.id) {
    throw new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', 'This room is of another version', {
      fields: { room_version: room?.version },
    })
  }
  if ((await eventFacts(tx.db, [event.eventId])).size > 0) return
  const before = await membershipRow(tx.db, roomId, userId)
  const position = await tx.nextPosition()
  const row = membershipRowOf(parts, event, position)
  await addOutliers(tx.db, [{ event, rejected: false }])
  await saveMemberships(tx.db, [row])
  await addStateChanges(tx.db, [
    {
      position,
      room_id: roomId,
      type: event.type,
      state_key: userId,
      event_id: event.eventId,
      prev_event_id: before?.event_id ?? null,
      membership: row.membership,
      prev_membership: before?.membership ?? null,
    },
  ])
  if (shown) {
    const events = strippedText([...shown.events, event])
    await saveStrippedState(tx.db, { roomId, userId, events, toldBy: shown.toldBy })
  }
  parts.events.replace(tx, { event, rejected: false })
  tx.wake([userId])
}
