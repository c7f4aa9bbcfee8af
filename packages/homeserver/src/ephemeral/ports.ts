import type { EventId, RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { Clock } from '../platform/clock.ts'
import type { Logger } from '../platform/logger.ts'
import type { Db, Store, Tx } from '../storage/store.ts'

/** What typing, receipts and presence ask of rooms. All that are given a handle answer as of its transaction. */
export type EphemeralRooms = {
  /** Whether a user, ours or another server's, is joined to a room. */
  isJoined(db: Db, roomId: RoomId, userId: UserId): Promise<boolean>
  /** The other servers that have a user who is joined to the room. */
  otherServers(db: Db, roomId: RoomId): Promise<ServerName[]>
  /** Where an event stands in the order of its room; `undefined` if we do not have it, or it is of another room. */
  eventPosition(db: Db, roomId: RoomId, eventId: EventId): Promise<{ position: number } | undefined>
  /** The root of the thread that an event is in, or `main`. Client-server API, "Threaded read receipts". */
  threadOf(db: Db, roomId: RoomId, eventId: EventId): Promise<EventId | 'main' | undefined>
  /** Whether a room's access control list denies a server. Not to be asked inside a transaction. */
  isDenied(roomId: RoomId, serverName: ServerName): Promise<boolean>
  /** Which of `others` share a room with `userId`; the user itself never counts. */
  sharing(db: Db, userId: UserId, others: readonly UserId[]): Promise<Set<UserId>>
  /** Our own users who share a room with any of `userIds`, who may be local or remote. */
  localUsers(db: Db, userIds: readonly UserId[]): Promise<UserId[]>
  /** The other servers that have a user who shares a room with our `userId`. */
  servers(db: Db, userId: UserId): Promise<ServerName[]>
}

/** Where the fully read marker is kept: in the account data of a room. */
type FullyRead = {
  content(db: Db, userId: UserId, roomId: RoomId): Promise<unknown>
  put(tx: Tx, userId: UserId, roomId: RoomId, content: JsonObject): Promise<void>
}

/** What every part is built with. */
export type EphemeralParts = {
  store: Store
  clock: Clock
  log: Logger
  serverName: ServerName
  rooms: EphemeralRooms
  fullyRead: FullyRead
  /**
   * One of our users has read a room up to a position: one thread (`main` is one too), or all of it (`threadId` empty).
   * Part of the receipt's own transaction.
   */
  onRead(tx: Tx, userId: UserId, roomId: RoomId, upTo: { position: number; threadId: string }): Promise<void>
  /** Called after the commit, with the destinations that something was queued for. */
  wakeSender(destinations: readonly ServerName[]): void
}
