import { invalidParam } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import * as storage from '../storage/notifications.ts'
import type { Db, Store, Tx } from '../storage/store.ts'
import { lookAt, type PushEvent, type PushFacts } from './push-conditions.ts'
import { evaluatePushRules } from './push-evaluation.ts'
import { createRulesInForce } from './rules-in-force.ts'

/** An event of a room, and all that decides who of our users is notified of it. */
export type NotifyingEvent = {
  event: PushEvent & { room_id: RoomId; event_id: EventId }
  /** Its place in the stream. */
  position: number
  /** The root of its thread, or `main`. */
  threadId: string
  /** Those of our users who are in the room, or whom the event invites, as they are called there. */
  members: readonly { userId: UserId; displayName: string | undefined }[]
} & Omit<PushFacts, 'displayName'>

type Count = { notification_count: number; highlight_count: number }
/** What a user has not read of a room: in all, and in each thread but the main timeline. */
type UnreadCounts = { all: Count; threads: Map<EventId, Count> }

/** As `GET /notifications` shows it, but for the event itself. */
type Notification = {
  roomId: RoomId
  eventId: EventId
  actions: unknown[]
  read: boolean
  /** Epoch ms. */
  ts: number
}

export type Notifications = {
  /** Notes whom an event notifies. Part of the event's own transaction. Client-server API, "Push Notifications". */
  countUnread(tx: Tx, counted: NotifyingEvent): Promise<void>
  /** An event was redacted: nobody has it left to read. */
  takeBack(tx: Tx, redacted: { roomId: RoomId; eventId: EventId } & Pick<NotifyingEvent, 'members'>): Promise<void>
  /** One of our users has read a room up to a position: one thread, or all of it (`threadId` empty). */
  markRead(tx: Tx, userId: UserId, roomId: RoomId, upTo: { position: number; threadId: string }): Promise<void>
  /** For sync: what a user has not read of these rooms; nothing for those of which they have read all. */
  unreadCounts(db: Db, userId: UserId, roomIds: readonly RoomId[]): Promise<Map<RoomId, UnreadCounts>>
  /**
   * `GET /notifications`: the latest first. Client-server API, "Listing Notifications".
   * @throws `M_INVALID_PARAM` if `from` is no token
   */
  notifications(
    userId: UserId,
    query: { from: string | undefined; limit: number; highlights: boolean },
  ): Promise<{ notifications: Notification[]; nextToken: string | undefined }>
  /** Forgets what was read long ago. @param now epoch ms */
  forgetOld(now: number): Promise<void>
}

const DAY_MS = 24 * 3_600_000
const READ_KEPT_MS = 30 * DAY_MS
const UNREAD_KEPT_MS = 180 * DAY_MS
/** Counts of so many rooms are asked for by room; of more, of all of the user's. */
const ROOMS_BY_NAME = 100

export function createNotifications(store: Store, clock: Clock): Notifications {
  const rulesInForce = createRulesInForce()

  /** Who sends has read what was there; who is no longer there has nothing to read. */
  async function readByDoing(tx: Tx, { event, position, threadId, members }: NotifyingEvent): Promise<void> {
    const { room_id: roomId, sender, state_key: subject } = event
    const own = members.some((member) => member.userId === sender)
    if (own) await storage.readNotifications(tx.db, sender as UserId, roomId, { position, threadId })
    if (event.type === 'm.room.member' && subject && !members.some((member) => member.userId === subject)) {
      await storage.readNotifications(tx.db, subject as UserId, roomId, { position, threadId: undefined })
    }
  }

  return {
    async countUnread(tx, counted) {
      const { event, position, threadId, members, ...facts } = counted
      await readByDoing(tx, counted)
      const others = members.filter((member) => member.userId !== event.sender)
      const inForce = await rulesInForce(
        tx.db,
        others.map((member) => member.userId),
      )
      const looked = lookAt(event)
      const rows: storage.NotificationRow[] = []
      for (const { userId, displayName } of others) {
        const { rules, ignored } = inForce.get(userId)!
        if (ignored.has(event.sender)) continue
        const verdict = evaluatePushRules(rules, looked, { ...facts, displayName })
        if (!verdict.notify) continue
        rows.push({
          user_id: userId,
          position,
          room_id: event.room_id,
          event_id: event.event_id,
          thread_id: threadId,
          highlight: verdict.highlight ? 1 : 0,
          unread: 1,
          actions: JSON.stringify(verdict.actions),
          created_at: clock.now(),
        })
      }
      await storage.addNotifications(tx.db, rows)
    },

    takeBack: (tx, { roomId, eventId, members }) =>
      storage.takeBackNotifications(
        tx.db,
        members.map((member) => member.userId),
        roomId,
        eventId,
      ),

    markRead: (tx, userId, roomId, { position, threadId }) =>
      storage.readNotifications(tx.db, userId, roomId, {
        position,
        threadId: threadId === '' ? undefined : threadId,
      }),

    async unreadCounts(db, userId, roomIds) {
      const wanted = new Set(roomIds)
      const asked = roomIds.length <= ROOMS_BY_NAME ? roomIds : 'all'
      const found = new Map<RoomId, UnreadCounts>()
      for (const row of await storage.unreadByThread(db, userId, asked)) {
        if (!wanted.has(row.room_id)) continue
        const { all, threads } = found.get(row.room_id) ?? {
          all: { notification_count: 0, highlight_count: 0 },
          threads: new Map(),
        }
        found.set(row.room_id, { all, threads })
        all.notification_count += row.count
        all.highlight_count += row.highlights
        if (row.thread_id === 'main') continue
        threads.set(row.thread_id, { notification_count: row.count, highlight_count: row.highlights })
      }
      return found
    },

    async notifications(userId, { from, limit, highlights }) {
      if (from !== undefined && !/^[0-9]{1,15}$/.test(from)) throw invalidParam('from is not a token of this server')
      const before = from === undefined ? undefined : Number(from)
      const rows = await storage.notificationsBefore(store.db, userId, { before, limit: limit + 1, highlights })
      const page = rows.slice(0, limit)
      return {
        notifications: page.map((row) => ({
          roomId: row.room_id,
          eventId: row.event_id,
          actions: JSON.parse(row.actions),
          read: row.unread === 0,
          ts: row.created_at,
        })),
        nextToken: rows.length > limit ? String(page.at(-1)!.position) : undefined,
      }
    },

    forgetOld: (now) =>
      storage.forgetNotifications(store.db, { read: now - READ_KEPT_MS, unread: now - UNREAD_KEPT_MS }),
  }
}
