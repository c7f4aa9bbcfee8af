import type { ServerName, UserId } from '../matrix/ids.ts'
import { localUsersSharingWith, serversSharingWith, usersSharingWith } from '../storage/memberships.ts'
import type { Db } from '../storage/store.ts'

/** Who shares a room with whom, by the memberships as of the transaction that asks. */
export function sharedRooms(serverName: ServerName) {
  return {
    /** Which of `others` share a room with `userId`; the user itself never counts. */
    async sharing(db: Db, userId: UserId, others: readonly UserId[]): Promise<Set<UserId>> {
      const found = new Set(await usersSharingWith(db, userId, others))
      found.delete(userId)
      return found
    },
    localUsers: (db: Db, userIds: readonly UserId[]): Promise<UserId[]> => localUsersSharingWith(db, userIds),
    async servers(db: Db, userId: UserId): Promise<ServerName[]> {
      return (await serversSharingWith(db, userId)).filter((server) => server !== serverName)
    },
  }
}
