import type { RoomEvent } from '../../matrix/events.ts'
import { isUserId, serverNameOf } from '../../matrix/ids.ts'
import { membershipRow } from '../../storage/memberships.ts'
import type { Source } from '../ask-servers.ts'
import { noteOutside } from '../membership/outside.ts'
import type { RoomParts } from '../ports.ts'

/**
 * Takes the end of an invitation or a knock of one of our users in a room that we are not in: that it was withdrawn, or
 * refused. Nothing of the room is known by which to judge the event, but it must have as its authority the invitation or
 * knock itself, which only those in the room have seen; and an invitation is withdrawn by who made it, since anybody else's
 * power to do so is not known here.
 * @returns whether it was that
 */
export async function takeOutside(parts: RoomParts, { version }: Source, event: RoomEvent): Promise<boolean> {
  const { roomId, stateKey: userId, content } = event
  if (event.type !== 'm.room.member' || !isUserId(userId) || serverNameOf(userId) !== parts.serverName) return false
  if (content.membership !== 'leave' && content.membership !== 'ban') return false
  return parts.store.transaction(async (tx) => {
    const row = await membershipRow(tx.db, roomId, userId)
    const isPending = row?.membership === 'invite' || row?.membership === 'knock'
    if (!isPending || !event.authEvents.includes(row.event_id)) return false
    if (row.membership === 'invite' && event.sender !== row.sender) return false
    await noteOutside(parts, tx, version, event)
    return true
  })
}
