import type { RoomEvent, StateMap } from '../matrix/events.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import type { EventRow } from '../storage/events.ts'
import type { Membership } from '../storage/room-tables.ts'
import type { Db } from '../storage/store.ts'

export type Device = { userId: UserId; deviceId: string }

/** An event as `/sync` shows it: of a room, or of somebody's own data. */
export type ShownEvent = { type: string; content: unknown; sender?: string | undefined; event_id?: string }

/** One-time keys left by algorithm, and algorithms whose fallback key has not been used. */
type KeyCounts = { oneTimeKeys: Record<string, number>; unusedFallbackKeyTypes: string[] }

export type UnreadCounts = { notification_count: number; highlight_count: number }

/** What is unread of a room: in all, and of that in each thread but the main timeline. */
export type Unread = { all: UnreadCounts; threads: ReadonlyMap<EventId, UnreadCounts> }

/** What sync shows of the other features. Positions are those of the stream; `after` is left out, `upTo` is in. */
export type SyncSources = {
  accountData(userId: UserId, after: number, upTo: number): Promise<ShownEvent[]>
  deviceLists(userId: UserId, after: number, upTo: number): Promise<{ changed: UserId[]; left: UserId[] }>
  keyCounts(userId: UserId, deviceId: string): Promise<KeyCounts>
  /** At most 100 messages in order; `position` is the place up to which they were handed out. */
  toDevice(device: Device, after: number, upTo: number): Promise<{ events: unknown[]; position: number }>
  /** The device has come back with a token that covers these messages: they are done with. */
  acknowledgeToDevice(device: Device, upTo: number): Promise<void>
  rooms: SyncRooms
  ephemeral: SyncEphemeral
}

/** Who looks at rooms. */
export type Viewer = {
  userId: UserId
  deviceId?: string | undefined
  ignored: ReadonlySet<string>
  /** Up to which position events come before the last time that the user was in a room. */
  joinedUntil: ReadonlyMap<RoomId, number>
}

/** An event that a viewer may see. */
export type SeenEvent = {
  row: EventRow
  event: RoomEvent
  version: RoomVersion
  membership: Membership
  wasJoined: boolean
  /** The state event that this one replaced. */
  replaces: EventId | undefined
}

/** How events of rooms are looked at and shown. */
export type SyncRooms = {
  /** Whom a user ignores. */
  ignoredBy(db: Db, userId: UserId): Promise<ReadonlySet<string>>
  /** Which of these events a viewer may see, in the same order. */
  seen(db: Db, viewer: Viewer, rows: readonly EventRow[]): Promise<SeenEvent[]>
  /** State events that a viewer is shown whatever the history visibility says, since they are part of the state now. */
  asSeen(db: Db, rows: readonly EventRow[]): Promise<SeenEvent[]>
  /**
   * Events as clients get them, without their room's ID, in the same order.
   * @param bundled whether what relates to them comes with them
   */
  clientEvents(db: Db, viewer: Viewer, seen: readonly SeenEvent[], bundled: boolean): Promise<ShownEvent[]>
  /** The same of events that are part of a state. */
  clientState(db: Db, viewer: Viewer, rows: readonly EventRow[]): Promise<ShownEvent[]>
  /** The state in a state group. */
  state(db: Db, group: number): Promise<StateMap>
  /** The token for `/messages` that stands right before an event. */
  tokenBefore(row: EventRow): string
}

/** What happens in rooms and is no event. */
export type SyncEphemeral = {
  roomAccountDataSince(userId: UserId, after: number, upTo: number): Promise<Map<RoomId, ShownEvent[]>>
  typingSince(db: Db, roomIds: readonly RoomId[], after: number, upTo: number): Promise<Map<RoomId, UserId[]>>
  /** By room, the content of an `m.receipt`. */
  receiptsSince(
    db: Db,
    userId: UserId,
    roomIds: readonly RoomId[],
    after: number,
    upTo: number,
  ): Promise<Map<RoomId, unknown>>
  presenceSince(db: Db, userId: UserId, after: number, upTo: number): Promise<ShownEvent[]>
  presenceOfUsers(db: Db, userIds: readonly UserId[]): Promise<ShownEvent[]>
  /** What a user has not read of these rooms; those of which nothing is unread may be left out. */
  unreadCounts(db: Db, userId: UserId, roomIds: readonly RoomId[]): Promise<Map<RoomId, Unread>>
}
