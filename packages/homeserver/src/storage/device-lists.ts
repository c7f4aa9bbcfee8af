import { type Selectable, sql } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import { isPostgres } from './dialect.ts'
import { prepared, preparedForAny } from './prepared.ts'
import type { Db } from './store.ts'
import type { DeviceListSnapshotsTable, DeviceListsTable } from './tables.ts'

/** One row of the ledger: everything that is known about a remote user's list but the list itself. */
export type LedgerRow = Selectable<DeviceListsTable>
/** The list itself, its keys as JSON text. */
export type SnapshotRow = Selectable<DeviceListSnapshotsTable>

/** `next_attempt_at` of a stale list that nobody needs: it is not fetched until somebody does. */
export const PARKED = 9_000_000_000_000_000

/** Rows by their user, each of whom has one. */
export const byUser = <Row extends { user_id: UserId }>(rows: readonly Row[]): Map<UserId, Row> =>
  new Map(rows.map((row) => [row.user_id, row]))

export const isStale = sql<boolean>`wanted_gen > synced_gen`

const selectRow = prepared<{ userId: UserId }, LedgerRow>((db, value) =>
  db.selectFrom('device_lists').selectAll().where('user_id', '=', value('userId')),
)
const selectRowForUpdate = prepared<{ userId: UserId }, LedgerRow>((db, value) => {
  const query = db.selectFrom('device_lists').selectAll().where('user_id', '=', value('userId'))
  // SQLite has one writer at a time, which the transaction that asks for this is.
  return isPostgres(db) ? query.forUpdate() : query
})

/** @returns the ledger row of a remote user, if there is one */
export async function ledgerRow(db: Db, userId: UserId): Promise<LedgerRow | undefined> {
  return (await selectRow(db, { userId })).rows[0]
}

/** The same, kept from being changed by others until the transaction ends. */
export async function lockedRow(db: Db, userId: UserId): Promise<LedgerRow | undefined> {
  return (await selectRowForUpdate(db, { userId })).rows[0]
}

const selectRows = preparedForAny<LedgerRow>('user_id', (db, isChosen) =>
  db.selectFrom('device_lists').selectAll().where(isChosen),
)

/** Ledger rows of many users; those without one are left out. */
export async function ledgerRows(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, LedgerRow>> {
  return byUser(await selectRows(db, userIds))
}

/** What a query for keys looks at. */
export type ListState = Pick<
  LedgerRow,
  'user_id' | 'wanted_gen' | 'synced_gen' | 'tracked' | 'synced_at' | 'stream_id' | 'digest' | 'last_error'
>

const selectStates = preparedForAny<ListState>('user_id', (db, isChosen) =>
  db
    .selectFrom('device_lists')
    .select(['user_id', 'wanted_gen', 'synced_gen', 'tracked', 'synced_at', 'stream_id', 'digest', 'last_error'])
    .where(isChosen),
)

/** How the lists of many users stand; users without one are left out. */
export async function listStates(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, ListState>> {
  return byUser(await selectStates(db, userIds))
}

const selectRowsForUpdate = preparedForAny<LedgerRow>('user_id', (db, isChosen) => {
  const query = db.selectFrom('device_lists').selectAll().where(isChosen)
  // In the same order everywhere, so that nobody waits for one who waits for them.
  return isPostgres(db) ? query.orderBy('user_id').forUpdate() : query
})

/** Many rows, kept from being changed by others until the transaction ends. */
export async function lockedRows(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, LedgerRow>> {
  return byUser(await selectRowsForUpdate(db, userIds))
}

const selectSnapshots = preparedForAny<SnapshotRow>('user_id', (db, isChosen) =>
  db.selectFrom('device_list_snapshots').selectAll().where(isChosen),
)

/** The lists themselves. */
export async function snapshotRows(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, SnapshotRow>> {
  return byUser(await selectSnapshots(db, userIds))
}

const selectTracked = prepared<{ userId: UserId }, LedgerRow & SnapshotRow>((db, value) =>
  db
    .selectFrom('device_lists')
    .innerJoin('device_list_snapshots', 'device_list_snapshots.user_id', 'device_lists.user_id')
    .selectAll('device_lists')
    .select(['device_keys', 'keyless', 'master_key', 'self_signing_key'])
    .where('device_lists.user_id', '=', value('userId'))
    .where('tracked', '=', 1),
)

/** Row and list of a user with whom a room is shared, if there is a list. */
export async function trackedList(db: Db, userId: UserId): Promise<(LedgerRow & SnapshotRow) | undefined> {
  return (await selectTracked(db, { userId })).rows[0]
}

const updateSynced = prepared<SyncedList & { userId: UserId; gen: number; auditAt: number }>((db, value) =>
  db
    .updateTable('device_lists')
    .set({
      synced_gen: value('gen'),
      stream_id: value('streamId'),
      digest: value('digest'),
      devices: value('devices'),
      synced_at: value('now'),
      attempts: 0,
      last_error: null,
      refused: 0,
      // For a doubt that came up during the fetch and survives it: it is due at once.
      next_attempt_at: value('now'),
      doubted_at: value('now'),
      confirmed_at: value('now'),
      audit_at: value('auditAt'),
    })
    .where('user_id', '=', value('userId')),
)

/**
 * Notes that the list was right as of generation `gen`, the one that its fetch began with.
 * @param list.auditAt when it is to be compared with the remote's (epoch ms)
 */
export async function recordSynced(
  db: Db,
  userId: UserId,
  gen: number,
  list: SyncedList & { auditAt: number },
): Promise<void> {
  await updateSynced(db, { ...list, userId, gen })
}

/** A list as the ledger notes it. */
export type SyncedList = { streamId: number; digest: string; devices: number; now: number }

const updateUpdated = prepared<SyncedList & { userId: UserId }>((db, value) =>
  db
    .updateTable('device_lists')
    .set({
      stream_id: value('streamId'),
      digest: value('digest'),
      devices: value('devices'),
      confirmed_at: value('now'),
    })
    .where('user_id', '=', value('userId')),
)

/** Notes what an update changed; the list's freshness stays as it was. */
export async function recordUpdated(db: Db, userId: UserId, list: SyncedList): Promise<void> {
  await updateUpdated(db, { ...list, userId })
}

const upsertSnapshot = prepared<SnapshotRow>((db, value) =>
  db
    .insertInto('device_list_snapshots')
    .values({
      user_id: value('user_id'),
      device_keys: value('device_keys'),
      keyless: value('keyless'),
      master_key: value('master_key'),
      self_signing_key: value('self_signing_key'),
    })
    .onConflict((conflict) =>
      conflict.column('user_id').doUpdateSet((eb) => ({
        device_keys: eb.ref('excluded.device_keys'),
        keyless: eb.ref('excluded.keyless'),
        master_key: eb.ref('excluded.master_key'),
        self_signing_key: eb.ref('excluded.self_signing_key'),
      })),
    ),
)

/** Replaces the list itself. */
export async function saveSnapshot(db: Db, row: SnapshotRow): Promise<void> {
  await upsertSnapshot(db, row)
}

/** Notes that a room is shared with these users from now on. */
export async function setTracked(db: Db, userIds: readonly UserId[]): Promise<void> {
  await db.updateTable('device_lists').set({ tracked: 1 }).where('user_id', 'in', userIds).execute()
}

/**
 * Notes that no room is shared with these users any more. Their lists are stale from now on, whatever a fetch in
 * flight brings, and are not fetched again until somebody needs them.
 */
export async function setUntracked(db: Db, userIds: readonly UserId[], now: number): Promise<void> {
  const awaited = sql<boolean>`exists (select 1 from device_list_waiters
    where device_list_waiters.user_id = device_lists.user_id and waiting = 1)`
  await db
    .updateTable('device_lists')
    .set((eb) => ({
      tracked: 0,
      wanted_gen: eb('wanted_gen', '+', 1),
      doubted_at: now,
      reason: 'no room shared',
      next_attempt_at: sql<number>`case when ${awaited} then next_attempt_at else ${sql.lit(PARKED)} end`,
    }))
    .where('user_id', 'in', userIds)
    .execute()
}

/** Forgets lists that nobody shares a room with, last fetched or asked for before `before` (epoch ms). */
export async function forgetUntracked(db: Db, before: number): Promise<void> {
  const old = db
    .selectFrom('device_lists')
    .select('device_lists.user_id')
    .where('tracked', '=', 0)
    .where(sql<boolean>`coalesce(synced_at, doubted_at, 0) < ${before}`)
    .where(sql<boolean>`(lease_until is null or lease_until <= ${before})`)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('device_list_waiters')
            .select('device_list_waiters.user_id')
            .whereRef('device_list_waiters.user_id', '=', 'device_lists.user_id'),
        ),
      ),
    )
  await db.deleteFrom('device_list_snapshots').where('user_id', 'in', old).execute()
  await db.deleteFrom('device_lists').where('user_id', 'in', old).execute()
}
