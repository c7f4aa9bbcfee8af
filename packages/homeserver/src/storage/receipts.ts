import { sql } from 'kysely'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { ReceiptsTable, ReceiptType } from './ephemeral-tables.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** Up to where a user has read, in a thread or (`thread_id` empty) in the whole room. */
export type ReceiptRow = ReceiptsTable

type Name = { roomId: RoomId; userId: UserId; type: ReceiptType; threadId: string }

const selectReceipt = prepared<Name, ReceiptRow>((db, value) =>
  db
    .selectFrom('receipts')
    .selectAll()
    .where('room_id', '=', value('roomId'))
    .where('user_id', '=', value('userId'))
    .where('type', '=', value('type'))
    .where('thread_id', '=', value('threadId')),
)

export async function receiptRow(db: Db, name: Name): Promise<ReceiptRow | undefined> {
  return (await selectReceipt(db, name)).rows[0]
}

/** How many receipts a user has in a room: one for each thread and type. */
export async function receiptCount(db: Db, roomId: RoomId, userId: UserId): Promise<number> {
  const row = await db
    .selectFrom('receipts')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('room_id', '=', roomId)
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Sets a receipt, or replaces it. */
export async function putReceipt(db: Db, row: ReceiptRow): Promise<void> {
  const { event_id, event_position, ts, position } = row
  await db
    .insertInto('receipts')
    .values(row)
    .onConflict((conflict) =>
      conflict
        .columns(['room_id', 'user_id', 'type', 'thread_id'])
        .doUpdateSet({ event_id, event_position, ts, position }),
    )
    .execute()
}

/** A user's own receipts in a room. */
export async function ownReceipts(db: Db, roomId: RoomId, userId: UserId): Promise<ReceiptRow[]> {
  return db.selectFrom('receipts').selectAll().where('room_id', '=', roomId).where('user_id', '=', userId).execute()
}

const selectSince = prepared<{ userId: UserId; after: number; upTo: number; limit: number }, ReceiptRow>((db, value) =>
  db
    .selectFrom('receipts')
    .selectAll()
    .where('position', '>', value('after'))
    .where('position', '<=', value('upTo'))
    .where((eb) => eb.or([eb('type', '=', 'm.read'), eb('user_id', '=', value('userId'))]))
    .orderBy('position', 'desc')
    .limit(value('limit')),
)

type Range = { after: number; upTo: number; limit: number }

/** Receipts in any room that a user may see, written after one position and up to another, the latest first. */
export async function receiptsSince(db: Db, userId: UserId, range: Range): Promise<ReceiptRow[]> {
  return (await selectSince(db, { userId, ...range })).rows
}

/** The same of these rooms; the user's own come first. */
export async function receiptsInRooms(
  db: Db,
  userId: UserId,
  roomIds: readonly RoomId[],
  { after, upTo, limit }: Range,
): Promise<ReceiptRow[]> {
  if (roomIds.length === 0) return []
  return db
    .selectFrom('receipts')
    .selectAll()
    .where('room_id', 'in', roomIds)
    .where('position', '>', after)
    .where('position', '<=', upTo)
    .where((eb) => eb.or([eb('type', '=', 'm.read'), eb('user_id', '=', userId)]))
    .orderBy(sql`case when user_id = ${userId} then 0 else 1 end`)
    .orderBy('position', 'desc')
    .limit(limit)
    .execute()
}
