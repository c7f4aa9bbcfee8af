import { forbidden } from '../../matrix/errors.ts'
import { type RoomEvent, stateEntry } from '../../matrix/events.ts'
import { type EventId, type ServerName, serverNameOf, type UserId } from '../../matrix/ids.ts'
import { canonicalJson, type JsonObject } from '../../matrix/json.ts'
import { serversIn } from '../../storage/room-population.ts'
import type { Membership } from '../../storage/room-tables.ts'
import type { RoomParts } from '../ports.ts'
import { send } from '../send.ts'
import type { WritableRoom } from '../writable-room.ts'

/** What a membership is to become, and who says so. */
export type MemberChange = { sender: UserId; target: UserId; content: JsonObject & { membership: Membership } }

/** The membership event of a user in the state now. */
export async function memberEvent(
  { events }: Pick<RoomParts, 'events'>,
  room: WritableRoom,
  userId: UserId,
): Promise<RoomEvent | undefined> {
  const eventId = room.current?.map.get(stateEntry('m.room.member', userId))
  return eventId && (await events.load(room.tx.db, room.version, [eventId])).get(eventId)?.event
}

/**
 * Changes a membership in a room that we are in. What was said before by the same sender is not said again.
 * @throws `M_FORBIDDEN` if the rules do not allow it
 */
export async function changeMember(
  parts: RoomParts,
  room: WritableRoom,
  { sender, target, content }: MemberChange,
): Promise<EventId> {
  const known = await memberEvent(parts, room, target)
  if (known?.sender === sender && canonicalJson(known.content) === canonicalJson(content)) return known.eventId
  const tell = await whomToTell(parts, room, target, known)
  return (await send(parts, room, { type: 'm.room.member', stateKey: target, sender, content }, tell)).eventId
}

/** Besides the servers in the room, the one that waits outside: of whoever is no longer invited, or has knocked in vain. */
async function whomToTell(
  { serverName }: RoomParts,
  room: WritableRoom,
  target: UserId,
  known: RoomEvent | undefined,
): Promise<'everybody' | ServerName[]> {
  const waits = known?.content.membership === 'invite' || known?.content.membership === 'knock'
  const server = serverNameOf(target)
  if (!waits || server === serverName) return 'everybody'
  return [...new Set([...(await serversIn(room.tx.db, room.roomId)), server])]
}

/** What a moderator does to somebody: the memberships that it makes sense for, and what is said of the others. */
const REMOVALS = {
  kick: { membership: 'leave', from: ['join', 'invite', 'knock'], otherwise: 'This user is not in the room' },
  unban: { membership: 'leave', from: ['ban'], otherwise: 'This user is not banned' },
  ban: { membership: 'ban', from: undefined, otherwise: '' },
} as const

export type Removal = keyof typeof REMOVALS

/**
 * Kicks, bans, or lifts a ban. Client-server API, "Leaving rooms", "Banning users in a room".
 * @throws `M_FORBIDDEN`
 */
export async function removeMember(
  parts: RoomParts,
  room: WritableRoom,
  removal: Removal,
  { sender, target, more }: { sender: UserId; target: UserId; more: JsonObject },
): Promise<EventId> {
  const { membership, from, otherwise } = REMOVALS[removal]
  const own = await memberEvent(parts, room, sender)
  if (own?.content.membership !== 'join') throw forbidden('You are not in this room')
  const current = (await memberEvent(parts, room, target))?.content.membership
  if (from && !from.some((one) => one === current)) throw forbidden(otherwise)
  return changeMember(parts, room, { sender, target, content: { ...more, membership } })
}
