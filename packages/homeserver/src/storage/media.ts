import type { ServerName, UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** `mxc://server_name/media_id`. Times in epoch ms. */
export type MediaTable = {
  server_name: ServerName
  media_id: string
  user_id: UserId | null
  content_type: string | null
  size: number | null
  file_name: string | null
  created_at: number
  used_at: number
}

export type MediaRow = MediaTable

/** The two parts of a media's address. */
export type MediaKey = { serverName: ServerName; mediaId: string }

export async function mediaRow(db: Db, { serverName, mediaId }: MediaKey): Promise<MediaRow | undefined> {
  return db
    .selectFrom('media')
    .selectAll()
    .where('server_name', '=', serverName)
    .where('media_id', '=', mediaId)
    .executeTakeFirst()
}

/** @returns `false` if the address is taken */
export async function addMedia(db: Db, row: MediaRow): Promise<boolean> {
  const added = await db
    .insertInto('media')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('media_id')
    .executeTakeFirst()
  return added !== undefined
}

/** Says what was uploaded to an address that was announced. @returns `false` if something was before */
export async function completeMedia(
  db: Db,
  { serverName, mediaId }: MediaKey,
  content: { content_type: string; size: number; file_name: string | null },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('media')
    .set(content)
    .where('server_name', '=', serverName)
    .where('media_id', '=', mediaId)
    .where('size', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** What a user has uploaded in all, in bytes, and how many uploads they have announced after `since`. */
export async function mediaOfUser(
  db: Db,
  userId: UserId,
  since: number,
): Promise<{ bytes: number; announced: number }> {
  const kept = await db
    .selectFrom('media')
    .select(({ fn }) => fn.sum<number | null>('size').as('bytes'))
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow()
  const open = await db
    .selectFrom('media')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .where('size', 'is', null)
    .where('created_at', '>', since)
    .executeTakeFirstOrThrow()
  return { bytes: Number(kept.bytes ?? 0), announced: Number(open.count) }
}

export async function touchMedia(db: Db, { serverName, mediaId }: MediaKey, now: number): Promise<void> {
  await db
    .updateTable('media')
    .set({ used_at: now })
    .where('server_name', '=', serverName)
    .where('media_id', '=', mediaId)
    .execute()
}

/** Copies of other servers' media, least recently used first, and how large all of them are. */
export async function oldestCopies(db: Db, limit: number): Promise<{ rows: MediaRow[]; bytes: number }> {
  const rows = await db
    .selectFrom('media')
    .selectAll()
    .where('user_id', 'is', null)
    .orderBy('used_at')
    .limit(limit)
    .execute()
  const { bytes } = await db
    .selectFrom('media')
    .select(({ fn }) => fn.sum<number | null>('size').as('bytes'))
    .where('user_id', 'is', null)
    .executeTakeFirstOrThrow()
  return { rows, bytes: Number(bytes ?? 0) }
}

export async function removeMedia(db: Db, { serverName, mediaId }: MediaKey): Promise<void> {
  await db.deleteFrom('media').where('server_name', '=', serverName).where('media_id', '=', mediaId).execute()
}

/** Forgets what was announced before `before` and never uploaded. */
export async function removeAnnounced(db: Db, before: number): Promise<void> {
  await db.deleteFrom('media').where('size', 'is', null).where('used_at', '<=', before).execute()
}
