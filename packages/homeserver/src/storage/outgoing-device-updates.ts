import type { Selectable } from 'kysely'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import type { Db } from './store.ts'
import type { OutgoingDeviceUpdatesTable } from './tables.ts'

/** An update that a destination has not confirmed yet. */
export type OutgoingUpdate = Selectable<OutgoingDeviceUpdatesTable>

/** `device_id` of the row that stands for an `m.signing_key_update`. */
export const SIGNING_KEYS = ''

/** The stream ID that `GET /user/devices` answers for one of our users; 1 before the first change. */
export async function localStreamId(db: Db, userId: UserId): Promise<number> {
  const row = await db
    .selectFrom('local_device_lists')
    .select('stream_id')
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return row?.stream_id ?? 1
}

/** The same of several users; one without a row has had no change yet. */
export async function localStreamIds(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, number>> {
  if (userIds.length === 0) return new Map()
  const rows = await db.selectFrom('local_device_lists').selectAll().where('user_id', 'in', userIds).execute()
  return new Map(rows.map((row) => [row.user_id, row.stream_id]))
}

/** Counts the stream ID of one of our users up by `changes`. @returns the last of the new IDs */
export async function advanceLocalStream(db: Db, userId: UserId, changes: number): Promise<number> {
  const row = await db
    .insertInto('local_device_lists')
    .values({ user_id: userId, stream_id: 1 + changes })
    .onConflict((conflict) =>
      conflict.column('user_id').doUpdateSet((eb) => ({ stream_id: eb('local_device_lists.stream_id', '+', changes) })),
    )
    .returning('stream_id')
    .executeTakeFirstOrThrow()
  return row.stream_id
}

/**
 * Queues updates. A newer one for the same device takes the older one's place, but keeps its predecessor: that is
 * what the destination has.
 */
export async function queueUpdates(db: Db, rows: readonly Omit<OutgoingUpdate, 'id'>[]): Promise<void> {
  for (const some of inParts(rows, 200)) {
    await db
      .insertInto('outgoing_device_updates')
      .values(some)
      .onConflict((conflict) =>
        conflict
          .columns(['destination', 'user_id', 'device_id'])
          .doUpdateSet((eb) => ({ stream_id: eb.ref('excluded.stream_id') })),
      )
      .execute()
  }
}

/** Destinations that something is queued for. */
export async function queuedDestinations(db: Db): Promise<ServerName[]> {
  const rows = await db.selectFrom('outgoing_device_updates').select('destination').distinct().execute()
  return rows.map((row) => row.destination)
}

/** The oldest updates for a destination, in the order in which they were made. */
export async function queuedUpdates(db: Db, destination: ServerName, limit: number): Promise<OutgoingUpdate[]> {
  return db
    .selectFrom('outgoing_device_updates')
    .selectAll()
    .where('destination', '=', destination)
    .orderBy('stream_id')
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** By user, the stream ID that a destination has if it has everything that was queued for it before. */
export async function chainBases(
  db: Db,
  destination: ServerName,
  userIds: readonly UserId[],
): Promise<Map<UserId, number>> {
  if (userIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('outgoing_device_updates')
    .select(['user_id', (eb) => eb.fn.min('prev_stream_id').as('base')])
    .where('destination', '=', destination)
    .where('user_id', 'in', userIds)
    .where('device_id', '!=', SIGNING_KEYS)
    .groupBy('user_id')
    .execute()
  return new Map(rows.map((row) => [row.user_id, row.base]))
}

/**
 * Queues an `m.signing_key_update`. It takes the place of one that is queued already, under a new ID, so that the
 * delivery of the older one does not take this one off the queue.
 */
export async function queueSigningKeys(
  db: Db,
  userId: UserId,
  destinations: readonly ServerName[],
  streamId: number,
): Promise<void> {
  if (destinations.length === 0) return
  await db
    .deleteFrom('outgoing_device_updates')
    .where('user_id', '=', userId)
    .where('device_id', '=', SIGNING_KEYS)
    .where('destination', 'in', destinations)
    .execute()
  await db
    .insertInto('outgoing_device_updates')
    .values(
      destinations.map((destination) => ({
        destination,
        user_id: userId,
        device_id: SIGNING_KEYS,
        stream_id: streamId,
        prev_stream_id: streamId,
      })),
    )
    .execute()
}

/**
 * Takes delivered updates of one user off the queue. One that changed again meanwhile stays, and what stays now
 * follows the last that was delivered.
 */
export async function settleUpdates(
  db: Db,
  destination: ServerName,
  userId: UserId,
  delivered: readonly OutgoingUpdate[],
): Promise<void> {
  const last = Math.max(...delivered.map((update) => update.stream_id))
  const ids = delivered.map((update) => update.id)
  // A device that changed again has a higher stream ID than anything that was delivered for its user.
  await db.deleteFrom('outgoing_device_updates').where('id', 'in', ids).where('stream_id', '<=', last).execute()
  await db
    .updateTable('outgoing_device_updates')
    .set({ prev_stream_id: last })
    .where('destination', '=', destination)
    .where('user_id', '=', userId)
    .where('prev_stream_id', '<', last)
    .execute()
}

/** Drops what is queued for servers that no longer share a room with the user: their copy is theirs to fetch again. */
export async function dropUpdatesExceptFor(db: Db, userId: UserId, destinations: readonly ServerName[]): Promise<void> {
  let query = db.deleteFrom('outgoing_device_updates').where('user_id', '=', userId)
  if (destinations.length > 0) query = query.where('destination', 'not in', destinations)
  await query.execute()
}
