import type { ServerName, UserId } from '../matrix/ids.ts'
import type { Db } from '../storage/store.ts'

/**
 * Who shares a room with whom: what device lists ask of rooms. Memberships answer it; tests may.
 * All answer as of the transaction they are asked in.
 */
export type SharedRooms = {
  /** Which of `others` share a room with `userId`; the user itself never counts. */
  sharing(db: Db, userId: UserId, others: readonly UserId[]): Promise<Set<UserId>>
  /** What the long polls wait on of our own users who share a room with any of `userIds`: their IDs, or those of their rooms. */
  wakeKeys(db: Db, userIds: readonly UserId[]): Promise<string[]>
  /**
   * Who came to share a room with our `userId` between two positions of the stream (everybody in a room that the user
   * joined), who may have ceased to: all who parted in some room, whether or not another one is shared; and who was
   * invited to a room that the user is in.
   */
  movements(
    db: Db,
    userId: UserId,
    after: number,
    upTo: number,
  ): Promise<{ met: UserId[]; parted: UserId[]; invited: UserId[] }>
  /** Our own users who share a room with any of `userIds`, who may be local or remote. */
  localUsers(db: Db, userIds: readonly UserId[]): Promise<UserId[]>
  /** The other servers that have a user who shares a room with our `userId`. */
  servers(db: Db, userId: UserId): Promise<ServerName[]>
  /** Whoever is in an encrypted room with our `userId`, of any server, and what they are called there. */
  inEncryptedRooms(db: Db, userId: UserId): Promise<{ userId: UserId; displayName: string | null }[]>
  /** Which of `userIds` are in an encrypted room with one of our users who has been active since an epoch time (ms). */
  active(db: Db, userIds: readonly UserId[], since: number): Promise<Set<UserId>>
}
