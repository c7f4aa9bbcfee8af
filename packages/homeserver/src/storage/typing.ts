import type { RoomId, UserId } from '../matrix/ids.ts'
import type { EphemeralTables } from './ephemeral-tables.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** Who types where, until when (epoch ms), and when other servers were told last (epoch ms). */
export type TypingRow = EphemeralTables['typing']

/** A user's row in a room, whether or not its time is over. */
export async function typingRow(db: Db, roomId: RoomId, userId: UserId): Promise<TypingRow | undefined> {
  return db
    .selectFrom('typing')
    .selectAll()
    .where('room_id', '=', roomId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
}

/** How many users are typing in a room. */
export async function typingCount(db: Db, roomId: RoomId): Promise<number> {
  const row = await db
    .selectFrom('typing')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('room_id', '=', roomId)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Notes that somebody is typing, or for how long they still are. */
export async function putTyping(db: Db, row: TypingRow): Promise<void> {
  const { expires_at, told_at } = row
  await db
    .insertInto('typing')
    .values(row)
    .onConflict((conflict) => conflict.columns(['room_id', 'user_id']).doUpdateSet({ expires_at, told_at }))
    .execute()
}

/** @returns whether the user was typing */
export async function removeTyping(db: Db, roomId: RoomId, userId: UserId): Promise<boolean> {
  const result = await db
    .deleteFrom('typing')
    .where('room_id', '=', roomId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return result.numDeletedRows > 0
}

/** Removes everybody whose time is over. @returns them */
export async function removeExpiredTyping(db: Db, now: number): Promise<{ room_id: RoomId; user_id: UserId }[]> {
  return db.deleteFrom('typing').where('expires_at', '<=', now).returning(['room_id', 'user_id']).execute()
}

/** When the next user's time is over (epoch ms). */
export async function nextTypingExpiry(db: Db): Promise<number | null> {
  const row = await db
    .selectFrom('typing')
    .select((eb) => eb.fn.min<number | null>('expires_at').as('at'))
    .executeTakeFirstOrThrow()
  return row.at
}

/** Notes that the lists of these rooms have changed. */
export async function touchTypingRooms(db: Db, roomIds: readonly RoomId[], position: number): Promise<void> {
  for (const some of inParts(roomIds, 500)) {
    await db
      .insertInto('typing_rooms')
      .values(some.map((room_id) => ({ room_id, position })))
      .onConflict((conflict) => conflict.column('room_id').doUpdateSet({ position }))
      .execute()
  }
}

const selectChanged = prepared<{ after: number; upTo: number; limit: number }, { room_id: RoomId }>((db, value) =>
  db
    .selectFrom('typing_rooms')
    .select('room_id')
    .where('position', '>', value('after'))
    .where('position', '<=', value('upTo'))
    .orderBy('position', 'desc')
    .limit(value('limit')),
)

/** Rooms whose lists changed after one position and up to another, the latest first. */
export async function changedTypingRooms(
  db: Db,
  range: { after: number; upTo: number; limit: number },
): Promise<RoomId[]> {
  return (await selectChanged(db, range)).rows.map((row) => row.room_id)
}

/** Everybody who is typing anywhere, or in these rooms, at most `limit`. */
export async function typingUsers(
  db: Db,
  roomIds: readonly RoomId[] | 'all',
  limit: number,
): Promise<{ room_id: RoomId; user_id: UserId }[]> {
  if (roomIds.length === 0) return []
  let query = db.selectFrom('typing').select(['room_id', 'user_id'])
  if (roomIds !== 'all') query = query.where('room_id', 'in', roomIds)
  return query.orderBy('room_id').orderBy('user_id').limit(limit).execute()
}
