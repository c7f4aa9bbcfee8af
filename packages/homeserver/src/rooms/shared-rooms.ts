import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { usersInEncryptedRoomsWith, usersWithActiveCompany } from '../storage/encrypted-rooms.ts'
import { joinedMemberIds } from '../storage/memberships.ts'
import { membershipChangesOf, type StateChange, stateChangesBetween } from '../storage/room-state.ts'
import { localUsersSharingWith, roomsOfAny, serversSharingWith, usersSharingWith } from '../storage/shared-rooms.ts'
import type { Db } from '../storage/store.ts'
import { movementsAround } from '../storage/sync-rooms.ts'

type Movements = { met: UserId[]; parted: UserId[]; invited: UserId[] }

/** Who shares a room with whom, by the memberships as of the transaction that asks. */
export function sharedRooms(serverName: ServerName) {
  return {
    /** Which of `others` share a room with `userId`; the user itself never counts. */
    async sharing(db: Db, userId: UserId, others: readonly UserId[]): Promise<Set<UserId>> {
      const found = new Set(await usersSharingWith(db, userId, others))
      found.delete(userId)
      return found
    },
    /**
     * Who came to a room that `userId` is in, or was in one that they came to, between two positions of the stream, they
     * themselves among these if they came to one; and who parted with them in some room, the user's own going included
     * (others may be shared); and who was invited to one of theirs.
     */
    async movements(db: Db, userId: UserId, after: number, upTo: number): Promise<Movements> {
      const met = new Set<UserId>()
      const parted = new Set<UserId>()
      const invited = new Set<UserId>()
      const around = await movementsAround(db, userId, after, upTo)
      for (const { user_id: other, membership, prev_membership: before } of around) {
        if (membership === 'join' && before !== 'join') met.add(other)
        if (membership !== 'join' && before === 'join') parted.add(other)
        if (membership === 'invite' && before !== 'invite') invited.add(other)
      }
      const own = await membershipChangesOf(db, userId, after, upTo)
      met.delete(userId)
      const reached = roomsOf(own, isArrival)
      for (const other of await joinedMemberIds(db, reached)) met.add(other)
      if (reached.length > 0) met.add(userId)
      const gone = roomsOf(own, isDeparture)
      for (const other of await joinedMemberIds(db, gone)) parted.add(other)
      // Who went from there meanwhile is not among its members any more.
      for (const change of await stateChangesBetween(db, gone, after, upTo)) {
        if (isDeparture(change)) parted.add(change.state_key as UserId)
      }
      for (const users of [parted, invited]) users.delete(userId)
      return { met: [...met], parted: [...parted], invited: [...invited] }
    },
    // Long polls wait on their rooms: a room with thousands of our users in it is one key.
    wakeKeys: (db: Db, userIds: readonly UserId[]): Promise<RoomId[]> => roomsOfAny(db, userIds),
    localUsers: (db: Db, userIds: readonly UserId[]): Promise<UserId[]> => localUsersSharingWith(db, userIds),
    async servers(db: Db, userId: UserId): Promise<ServerName[]> {
      return (await serversSharingWith(db, userId)).filter((server) => server !== serverName)
    },
    inEncryptedRooms: usersInEncryptedRoomsWith,
    active: usersWithActiveCompany,
  }
}

const isArrival = (change: StateChange) => change.membership === 'join' && change.prev_membership !== 'join'
const isDeparture = (change: StateChange) =>
  change.membership !== null && change.membership !== 'join' && change.prev_membership === 'join'

const roomsOf = (changes: readonly StateChange[], isOne: (change: StateChange) => boolean): RoomId[] => [
  ...new Set(changes.filter(isOne).map((change) => change.room_id)),
]
