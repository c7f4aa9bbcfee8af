import { sql } from 'kysely'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'
import type { NotificationsTable } from './tables.ts'

export type NotificationRow = NotificationsTable

const insertOne = prepared<NotificationRow>((db, value) =>
  db
    .insertInto('notifications')
    .values({
      user_id: value('user_id'),
      position: value('position'),
      room_id: value('room_id'),
      event_id: value('event_id'),
      thread_id: value('thread_id'),
      highlight: value('highlight'),
      unread: value('unread'),
      actions: value('actions'),
      created_at: value('created_at'),
    })
    .onConflict((conflict) => conflict.doNothing()),
)

/** Adds notifications; a user has one of an event at most. */
export async function addNotifications(db: Db, rows: readonly NotificationRow[]): Promise<void> {
  const [first] = rows
  if (first && rows.length === 1) return void (await insertOne(db, first))
  for (const some of inParts(rows, 500)) {
    await db
      .insertInto('notifications')
      .values(some)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
}

/** Marks an event as read for these users. */
export async function takeBackNotifications(
  db: Db,
  userIds: readonly UserId[],
  roomId: RoomId,
  eventId: EventId,
): Promise<void> {
  for (const some of inParts(userIds, 500)) {
    await db
      .updateTable('notifications')
      .set({ unread: 0 })
      .where('user_id', 'in', some)
      .where('room_id', '=', roomId)
      // A literal, so that the index of what is unread is used.
      .where('unread', '=', sql.lit(1))
      .where('event_id', '=', eventId)
      .execute()
  }
}

type ReadUpTo = { userId: UserId; roomId: RoomId; position: number }

const readRoom = (db: Db, value: <Name extends keyof ReadUpTo>(name: Name) => ReadUpTo[Name]) =>
  db
    .updateTable('notifications')
    .set({ unread: 0 })
    .where('user_id', '=', value('userId'))
    .where('room_id', '=', value('roomId'))
    // A literal, so that the index of what is unread is used.
    .where('unread', '=', sql.lit(1))
    .where('position', '<=', value('position'))
const markAllRead = prepared<ReadUpTo>(readRoom)
const markThreadRead = prepared<ReadUpTo & { threadId: string }>((db, value) =>
  readRoom(db, value).where('thread_id', '=', value('threadId')),
)

/** Marks what a user has read of a room up to a position: of one thread, or of all (`undefined`). */
export async function readNotifications(
  db: Db,
  userId: UserId,
  roomId: RoomId,
  { position, threadId }: { position: number; threadId: string | undefined },
): Promise<void> {
  if (threadId === undefined) await markAllRead(db, { userId, roomId, position })
  else await markThreadRead(db, { userId, roomId, position, threadId })
}

type UnreadRow = { room_id: RoomId; thread_id: string; count: number; highlights: number }

const unreadOf = (db: Db, userId: UserId) =>
  db
    .selectFrom('notifications')
    .select((eb) => [
      'room_id',
      'thread_id',
      eb.fn.countAll<number>().as('count'),
      eb.fn.sum<number>('highlight').as('highlights'),
    ])
    .where('user_id', '=', userId)
    // A literal, so that the index of what is unread is used.
    .where('unread', '=', sql.lit(1))
    .groupBy(['room_id', 'thread_id'])

const selectUnreadOfRoom = prepared<{ userId: UserId; roomId: RoomId }, UnreadRow>((db, value) =>
  unreadOf(db, value('userId')).where('room_id', '=', value('roomId')),
)

async function unreadRows(db: Db, userId: UserId, roomIds: readonly RoomId[] | 'all'): Promise<UnreadRow[]> {
  if (roomIds === 'all') return unreadOf(db, userId).execute()
  // What a message wakes many users for is one room.
  if (roomIds.length === 1) return (await selectUnreadOfRoom(db, { userId, roomId: roomIds[0]! })).rows
  return unreadOf(db, userId).where('room_id', 'in', roomIds).execute()
}

/** How much a user has not read, by room and thread: of these rooms, or of all. */
export async function unreadByThread(db: Db, userId: UserId, roomIds: readonly RoomId[] | 'all'): Promise<UnreadRow[]> {
  if (roomIds.length === 0) return []
  const rows = await unreadRows(db, userId, roomIds)
  return rows.map((row) => ({ ...row, count: Number(row.count), highlights: Number(row.highlights) }))
}

/** A user's notifications, the latest first, from before a position. */
export async function notificationsBefore(
  db: Db,
  userId: UserId,
  { before, limit, highlights }: { before: number | undefined; limit: number; highlights: boolean },
): Promise<NotificationRow[]> {
  let query = db.selectFrom('notifications').selectAll().where('user_id', '=', userId)
  if (before !== undefined) query = query.where('position', '<', before)
  if (highlights) query = query.where('highlight', '=', 1)
  return query.orderBy('position', 'desc').limit(limit).execute()
}

/** Removes what was read, and what is older than anybody will read it. Times are epoch ms. */
export async function forgetNotifications(db: Db, before: { read: number; unread: number }): Promise<void> {
  await db.deleteFrom('notifications').where('created_at', '<', before.read).where('unread', '=', 0).execute()
  await db.deleteFrom('notifications').where('created_at', '<', before.unread).execute()
}
