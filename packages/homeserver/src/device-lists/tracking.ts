import type { ServerName, UserId } from '../matrix/ids.ts'
import type { Db } from '../storage/store.ts'

/**
 * Who shares a room with whom: the one question that device lists ask of rooms. Memberships answer it; tests may.
 * All three answer as of the transaction they are asked in.
 */
export type SharedRooms = {
  /** Which of `others` share a room with `userId`; the user itself never counts. */
  sharing(db: Db, userId: UserId, others: readonly UserId[]): Promise<Set<UserId>>
  /** Our own users who share a room with any of `userIds`, who may be local or remote. */
  localUsers(db: Db, userIds: readonly UserId[]): Promise<UserId[]>
  /** The other servers that have a user who shares a room with our `userId`. */
  servers(db: Db, userId: UserId): Promise<ServerName[]>
}
