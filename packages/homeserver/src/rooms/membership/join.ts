import type { EventId, RoomId, ServerName, UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { membershipRow } from '../../storage/memberships.ts'
import { hasLocalMember } from '../../storage/room-population.ts'
import { memberContent } from '../member-content.ts'
import type { RoomParts } from '../ports.ts'
import type { RoomWriter, WritableRoom } from '../writable-room.ts'
import { noGuests, requireGuestAccess } from './guest-access.ts'
import { serversToAsk } from './handshake.ts'
import { changeMember, memberEvent } from './member-change.ts'
import { joinThrough } from './remote-join.ts'
import { authoriserOf, grantJoin, type JoinGrant } from './restricted-join.ts'

/** Who wants to join. */
export type Joiner = { userId: UserId; isGuest: boolean }

export type JoinWish = {
  /** Servers that are said to be in the room. */
  via: readonly ServerName[]
  /** What goes into the membership event besides name and picture. */
  more: JsonObject
  /** Whether whoever is in the room already is to say so again, with what is new in `more`. */
  again?: boolean
}

type Here = { eventId: EventId } | { elsewhere: JoinGrant | undefined }

/**
 * Joins a room: by ourselves if we are in it and may let the user in, else with the help of another server.
 * @throws `M_FORBIDDEN`, `M_GUEST_ACCESS_FORBIDDEN`, `M_UNABLE_TO_…_JOIN`, `M_NOT_FOUND`, 502
 */
export async function joinRoom(
  parts: RoomParts,
  writer: RoomWriter,
  joiner: Joiner,
  roomId: RoomId,
  wish: JoinWish,
): Promise<EventId> {
  const content = await memberContent(parts, joiner.userId, 'join', wish.more)
  const here = (await hasLocalMember(parts.store.db, roomId))
    ? await writer.write(roomId, (room) => joinHere(parts, room, joiner, content, wish.again === true))
    : { elsewhere: undefined }
  if ('eventId' in here) return here.eventId
  const servers = await serversToAsk(parts, { roomId, userId: joiner.userId }, wish.via)
  if (servers.length === 0 && here.elsewhere) authoriserOf(here.elsewhere)
  const eventId = await joinThrough(parts, writer, servers, { roomId, userId: joiner.userId }, content, joiner.isGuest)
  if (joiner.isGuest) await requireStillIn(parts, roomId, joiner.userId)
  return eventId
}

/** A guest who was not wanted was seen out at once. */
async function requireStillIn({ store }: RoomParts, roomId: RoomId, userId: UserId): Promise<void> {
  const own = await membershipRow(store.db, roomId, userId)
  if (own?.membership !== 'join') throw noGuests()
}

async function joinHere(
  parts: RoomParts,
  room: WritableRoom,
  { userId, isGuest }: Joiner,
  content: JsonObject,
  again: boolean,
): Promise<Here> {
  if (!(await hasLocalMember(room.tx.db, room.roomId))) return { elsewhere: undefined }
  const known = await memberEvent(parts, room, userId)
  const isIn = known?.content.membership === 'join'
  if (isIn && !again) return { eventId: known.eventId }
  if (isGuest && !isIn) await requireGuestAccess(parts, room)
  const grant = await grantJoin(parts, room, userId)
  if (grant.kind === 'unable to authorise' || grant.kind === 'unable to grant') return { elsewhere: grant }
  const authoriser = authoriserOf(grant)
  const { join_authorised_via_users_server: _, ...own } = content
  const vouched = authoriser === undefined ? {} : { join_authorised_via_users_server: authoriser }
  const change = { sender: userId, target: userId, content: { ...own, ...vouched, membership: 'join' as const } }
  return { eventId: await changeMember(parts, room, change) }
}
