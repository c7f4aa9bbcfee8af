import { badJson, MatrixError, notFound } from '../matrix/errors.ts'
import {
  type EventId,
  isRoomAlias,
  isRoomId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { createKeyedLock } from '../platform/keyed-lock.ts'
import { joinedRoomIds, type MembershipRow, membershipRow, setForgotten } from '../storage/memberships.ts'
import type { Membership } from '../storage/room-tables.ts'
import type { AliasResolver } from './alias-resolver.ts'
import { createDepartures, type Departures } from './membership/departures.ts'
import { createMembersForServers, type MembersForServers } from './membership/for-servers.ts'
import { type Invitation, invite } from './membership/invite.ts'
import { type Joiner, joinRoom } from './membership/join.ts'
import { knockOn } from './membership/knock.ts'
import { leaveRoom } from './membership/leave.ts'
import { changeMember, type Removal, removeMember } from './membership/member-change.ts'
import { createProfileChanges } from './membership/profile-changes.ts'
import type { RoomParts } from './ports.ts'
import type { ServerAcl } from './server-acl.ts'
import type { RoomWriter } from './writable-room.ts'

/** Servers that are said to be in a room, and what goes into the membership event besides name and picture. */
type Wish = { via?: readonly ServerName[]; more?: JsonObject }

/** Who is in which room. Client-server API, "Room membership". */
export type Members = {
  /**
   * Joins a room, wherever it is. Who is in it already stays so.
   * @throws `M_FORBIDDEN`, `M_GUEST_ACCESS_FORBIDDEN`, `M_UNABLE_TO_…_JOIN`, `M_NOT_FOUND`, 502
   */
  join(joiner: Joiner, room: RoomId | RoomAlias, wish?: Wish): Promise<RoomId>
  /** @throws `M_FORBIDDEN`, `M_NOT_FOUND`, 502 */
  knock(userId: UserId, room: RoomId | RoomAlias, wish?: Wish): Promise<RoomId>
  /** @throws `M_FORBIDDEN`, `M_INVITE_BLOCKED`, `M_NOT_FOUND`, `M_UNSUPPORTED_ROOM_VERSION`, 502 */
  invite(roomId: RoomId, invitation: Invitation): Promise<EventId>
  /** Leaves, rejects an invitation or withdraws a knock. @throws `M_NOT_FOUND`, `M_FORBIDDEN` for the banned */
  leave(userId: UserId, roomId: RoomId, more?: JsonObject): Promise<void>
  /** Kicks, bans or lifts a ban. @throws `M_FORBIDDEN`, `M_NOT_FOUND` */
  remove(removal: Removal, roomId: RoomId, who: { sender: UserId; target: UserId; more?: JsonObject }): Promise<void>
  /**
   * `PUT /rooms/{roomId}/state/m.room.member/{userId}`: whatever of the above the content asks for, which is kept whole.
   * @returns the membership event
   */
  set(sender: Joiner, roomId: RoomId, target: UserId, content: JsonObject): Promise<EventId>
  membershipOf(roomId: RoomId, userId: UserId): Promise<MembershipRow | undefined>
  joinedRooms(userId: UserId): Promise<RoomId[]>
  /** @throws 400 `M_UNKNOWN` while the user is in the room or invited; `M_NOT_FOUND` */
  forget(userId: UserId, roomId: RoomId): Promise<void>
  /** Tells the rooms that a user is in what they are called now. */
  followProfile(userId: UserId): Promise<void>
  departures: Departures
  forServers: MembersForServers
}

export function createMembers(
  parts: RoomParts,
  writer: RoomWriter,
  acl: ServerAcl,
  resolveAlias: AliasResolver['resolve'],
): Members {
  const { store } = parts
  // Two who join the same room do not both have it brought here. By two processes they do, and the second adds to what the first brought.
  const joining = createKeyedLock()

  async function roomOf(room: RoomId | RoomAlias): Promise<{ roomId: RoomId; servers: readonly ServerName[] }> {
    if (!isRoomAlias(room)) return { roomId: room, servers: [] }
    const resolved = await resolveAlias(room, { fresh: true })
    if (!resolved) throw notFound('There is no room of this name')
    return resolved
  }

  async function eventOf(roomId: RoomId, userId: UserId): Promise<EventId> {
    const row = await membershipRow(store.db, roomId, userId)
    if (!row) throw notFound('You are not in this room')
    return row.event_id
  }

  async function setOwn(own: Joiner, roomId: RoomId, membership: Membership, more: JsonObject): Promise<EventId> {
    if (membership === 'join') {
      return joining(roomId, () => joinRoom(parts, writer, own, roomId, { via: [], more, again: true }))
    }
    if (membership === 'knock') await knockOn(parts, writer, own.userId, roomId, { via: [], more })
    else await leaveRoom(parts, writer, { roomId, userId: own.userId }, more)
    return eventOf(roomId, own.userId)
  }

  return {
    async join(joiner, room, { via = [], more = {} } = {}) {
      const { roomId, servers } = await roomOf(room)
      const wish = { via: [...via, ...servers], more }
      await joining(roomId, () => joinRoom(parts, writer, joiner, roomId, wish))
      return roomId
    },

    async knock(userId, room, { via = [], more = {} } = {}) {
      const { roomId, servers } = await roomOf(room)
      await knockOn(parts, writer, userId, roomId, { via: [...via, ...servers], more })
      return roomId
    },

    invite: (roomId, invitation) => invite(parts, writer, roomId, invitation),
    leave: (userId, roomId, more = {}) => leaveRoom(parts, writer, { roomId, userId }, more),

    async remove(removal, roomId, { more = {}, ...who }) {
      await writer.write(roomId, (room) => removeMember(parts, room, removal, { ...who, more }))
    },

    async set(sender, roomId, target, content) {
      const { membership, join_authorised_via_users_server: _, ...more } = content
      if (!isMembership(membership)) throw badJson('membership is missing, or is none')
      const isOwn = sender.userId === target
      if (isOwn && membership !== 'invite' && membership !== 'ban') return setOwn(sender, roomId, membership, more)
      if (membership === 'invite') return invite(parts, writer, roomId, { sender: sender.userId, target, more })
      const change = { sender: sender.userId, target, content: { ...more, membership } }
      return writer.write(roomId, (room) => changeMember(parts, room, change))
    },

    membershipOf: (roomId, userId) => membershipRow(store.db, roomId, userId),
    joinedRooms: (userId) => joinedRoomIds(store.db, userId),

    async forget(userId, roomId) {
      const own = await membershipRow(store.db, roomId, userId)
      if (!own) throw notFound('You were never in this room')
      if (own.membership !== 'leave' && own.membership !== 'ban') {
        throw new MatrixError(400, 'M_UNKNOWN', 'A room that you are in, or invited to, cannot be forgotten')
      }
      await setForgotten(store.db, roomId, userId)
    },

    followProfile: createProfileChanges(parts, writer),
    departures: createDepartures(parts, writer),
    forServers: createMembersForServers(parts, writer, acl),
  }
}

const MEMBERSHIPS: readonly unknown[] = ['join', 'invite', 'knock', 'leave', 'ban'] satisfies Membership[]
const isMembership = (value: unknown): value is Membership => MEMBERSHIPS.includes(value)

/** Whether a text names a room. */
export const isRoomIdOrAlias = (value: unknown): value is RoomId | RoomAlias => isRoomId(value) || isRoomAlias(value)
