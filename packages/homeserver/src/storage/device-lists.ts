import { type Selectable, sql } from 'kysely'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { isPostgres } from './dialect.ts'
import { isOneOf, prepared } from './prepared.ts'
import type { Db } from './store.ts'
import type { DeviceListSnapshotsTable, DeviceListsTable } from './tables.ts'

/** One row of the ledger: everything that is known about a remote user's list but the list itself. */
export type LedgerRow = Selectable<DeviceListsTable>
/** The list itself, its keys as JSON text. */
export type SnapshotRow = Selectable<DeviceListSnapshotsTable>

/** `next_attempt_at` of a stale list that nobody needs: it is not fetched until somebody does. */
export const PARKED = 9_000_000_000_000_000

const isStale = sql<boolean>`wanted_gen > synced_gen`
const isUnleased = (now: number) => sql<boolean>`(lease_until is null or lease_until <= ${now})`

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

const selectRows = prepared<{ userIds: string }, LedgerRow>((db, value) =>
  db
    .selectFrom('device_lists')
    .selectAll()
    .where(isOneOf(db, 'user_id', value('userIds'))),
)

/** Ledger rows of many users; those without one are left out. */
export async function ledgerRows(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, LedgerRow>> {
  if (userIds.length === 0) return new Map()
  const { rows } = await selectRows(db, { userIds: JSON.stringify(userIds) })
  return new Map(rows.map((row) => [row.user_id, row]))
}

/** What a query for keys looks at. */
export type ListState = Pick<
  LedgerRow,
  'user_id' | 'wanted_gen' | 'synced_gen' | 'tracked' | 'synced_at' | 'stream_id' | 'digest' | 'last_error'
>

const selectStates = prepared<{ userIds: string }, ListState>((db, value) =>
  db
    .selectFrom('device_lists')
    .select(['user_id', 'wanted_gen', 'synced_gen', 'tracked', 'synced_at', 'stream_id', 'digest', 'last_error'])
    .where(isOneOf(db, 'user_id', value('userIds'))),
)

/** How the lists of many users stand; users without one are left out. */
export async function listStates(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, ListState>> {
  if (userIds.length === 0) return new Map()
  const { rows } = await selectStates(db, { userIds: JSON.stringify(userIds) })
  return new Map(rows.map((row) => [row.user_id, row]))
}

const selectRowsForUpdate = prepared<{ userIds: string }, LedgerRow>((db, value) => {
  const query = db
    .selectFrom('device_lists')
    .selectAll()
    .where(isOneOf(db, 'user_id', value('userIds')))
    .orderBy('user_id')
  return isPostgres(db) ? query.forUpdate() : query
})

/** Many rows, kept from being changed by others until the transaction ends. */
export async function lockedRows(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, LedgerRow>> {
  if (userIds.length === 0) return new Map()
  const { rows } = await selectRowsForUpdate(db, { userIds: JSON.stringify(userIds) })
  return new Map(rows.map((row) => [row.user_id, row]))
}

const selectSnapshots = prepared<{ userIds: string }, SnapshotRow>((db, value) =>
  db
    .selectFrom('device_list_snapshots')
    .selectAll()
    .where(isOneOf(db, 'user_id', value('userIds'))),
)

/** The lists themselves. */
export async function snapshotRows(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, SnapshotRow>> {
  if (userIds.length === 0) return new Map()
  const { rows } = await selectSnapshots(db, { userIds: JSON.stringify(userIds) })
  return new Map(rows.map((row) => [row.user_id, row]))
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

/** What is new about a list after a doubt. */
export type Doubt = { userId: UserId; serverName: ServerName; reason: string; now: number; nextAttemptAt: number }

/**
 * The columns of a row about which a doubt is raised. The oldest doubt that stands keeps reason and age, and the list stays
 * due when it was if that is sooner; a user whom the remote refuses keeps waiting, whatever its server says of them.
 */
export function raised(doubt: { reason: string; now: number; nextAttemptAt: number }) {
  const stale = sql`device_lists.wanted_gen > device_lists.synced_gen`
  return {
    wanted_gen: sql<number>`device_lists.wanted_gen + 1`,
    reason: sql<string>`case when ${stale} then device_lists.reason else ${text(doubt.reason)} end`,
    doubted_at: sql<number>`case when ${stale} then device_lists.doubted_at else ${time(doubt.now)} end`,
    next_attempt_at: sql<number>`case when ${stale}
      and (device_lists.refused = 1 or device_lists.next_attempt_at < ${time(doubt.nextAttemptAt)})
      then device_lists.next_attempt_at else ${time(doubt.nextAttemptAt)} end`,
  }
}

// PostgreSQL cannot tell what a parameter among nothing but cases is.
const text = (value: string) => sql<string>`cast(${value} as text)`
const time = (value: number) => sql<number>`cast(${value} as bigint)`

const upsertDoubt = prepared<Doubt, LedgerRow>((db, value) =>
  db
    .insertInto('device_lists')
    .values({
      user_id: value('userId'),
      server_name: value('serverName'),
      wanted_gen: 1,
      synced_gen: 0,
      tracked: 0,
      reason: value('reason'),
      doubted_at: value('now'),
      attempts: 0,
      attempts_ended: 0,
      next_attempt_at: value('nextAttemptAt'),
      refused: 0,
    })
    .onConflict((conflict) =>
      conflict.column('user_id').doUpdateSet(
        raised({
          reason: value('reason'),
          now: value('now'),
          nextAttemptAt: value('nextAttemptAt'),
        }),
      ),
    )
    .returningAll(),
)

/**
 * Raises a doubt: one generation more is wanted, and the list is due at `nextAttemptAt` unless it is due sooner.
 * The first doubt that still stands gives the reason and the age. Makes the row where there is none.
 * @returns the row as it is now
 */
export async function raiseDoubt(db: Db, doubt: Doubt): Promise<LedgerRow> {
  return (await upsertDoubt(db, doubt)).rows[0]!
}

/**
 * The same for many users at once, each named once. The caller sees to it that they are not too many for one statement.
 * @returns those whose lists were fresh until now, or never there
 */
export async function raiseDoubts(
  db: Db,
  users: readonly { userId: UserId; serverName: ServerName }[],
  doubt: Omit<Doubt, 'userId' | 'serverName'>,
): Promise<UserId[]> {
  if (users.length === 0) return []
  const rows = await db
    .insertInto('device_lists')
    .values(
      users.map(({ userId, serverName }) => ({
        user_id: userId,
        server_name: serverName,
        wanted_gen: 1,
        synced_gen: 0,
        tracked: 0,
        reason: doubt.reason,
        doubted_at: doubt.now,
        attempts: 0,
        attempts_ended: 0,
        next_attempt_at: doubt.nextAttemptAt,
        refused: 0,
      })),
    )
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet(raised(doubt)))
    .returning(['user_id', 'wanted_gen', 'synced_gen'])
    .execute()
  return rows.filter((row) => row.wanted_gen === row.synced_gen + 1).map((row) => row.user_id)
}

/** Makes a stale list due at `at` if it is due later. */
export async function expedite(db: Db, userId: UserId, at: number): Promise<void> {
  await db
    .updateTable('device_lists')
    .set({ next_attempt_at: at })
    .where('user_id', '=', userId)
    .where('next_attempt_at', '>', at)
    .execute()
}

/**
 * Makes all stale lists of a server due now, but for parked ones and users whom it refuses: it is back.
 * @returns how many became due
 */
export async function expediteServer(db: Db, serverName: ServerName, now: number): Promise<number> {
  const result = await db
    .updateTable('device_lists')
    .set({ next_attempt_at: now })
    .where('server_name', '=', serverName)
    .where(isStale)
    .where('refused', '=', 0)
    .where('next_attempt_at', '>', now)
    .where('next_attempt_at', '<', PARKED)
    .executeTakeFirst()
  return Number(result.numUpdatedRows)
}

type Claim = { now: number; leaseUntil: number }

const claimDueRow = prepared<Claim & { serverName: ServerName }, LedgerRow>((db, value) => {
  const due = db
    .selectFrom('device_lists')
    .select('user_id')
    .where('server_name', '=', value('serverName'))
    .where(isStale)
    .where('next_attempt_at', '<=', value('now'))
    .where(isUnleased(value('now')))
    .orderBy('next_attempt_at')
    .limit(1)
  const claimable = isPostgres(db) ? due.forUpdate().skipLocked() : due
  return db
    .updateTable('device_lists')
    .set((eb) => ({ lease_until: value('leaseUntil'), lease_gen: eb.ref('wanted_gen') }))
    .where('user_id', '=', claimable)
    .returningAll()
})

/**
 * Claims the list of a server that has been due the longest: whoever holds the lease is the only one who fetches. A
 * lease whose time is over is taken over.
 */
export async function claimDue(db: Db, serverName: ServerName, claim: Claim): Promise<LedgerRow | undefined> {
  return (await claimDueRow(db, { serverName, ...claim })).rows[0]
}

const claimRow = prepared<Claim & { userId: UserId }, LedgerRow>((db, value) =>
  db
    .updateTable('device_lists')
    .set((eb) => ({ lease_until: value('leaseUntil'), lease_gen: eb.ref('wanted_gen') }))
    .where('user_id', '=', value('userId'))
    .where(isStale)
    .where(isUnleased(value('now')))
    .returningAll(),
)

/** Claims one stale list, due or not. @returns `undefined` if it is not stale, or somebody is at it */
export async function claimOne(db: Db, userId: UserId, claim: Claim): Promise<LedgerRow | undefined> {
  return (await claimRow(db, { userId, ...claim })).rows[0]
}

/** A lease as it was claimed; gone when somebody else took the work over. */
export type Lease = { userId: UserId; gen: number; until: number }

const held = (db: Db, lease: Lease) =>
  db
    .updateTable('device_lists')
    .where('user_id', '=', lease.userId)
    .where('lease_gen', '=', lease.gen)
    .where('lease_until', '=', lease.until)

/** Prolongs a lease. @returns whether it was still held */
export async function prolongLease(db: Db, lease: Lease, until: number): Promise<boolean> {
  const result = await held(db, lease).set({ lease_until: until }).executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Ends a lease after a fetch failed. @returns whether the lease was still held; if not, nothing was written */
export async function recordFailure(
  db: Db,
  lease: Lease,
  outcome: { error: string; nextAttemptAt: number; refused: boolean },
): Promise<boolean> {
  const result = await held(db, lease)
    .set((eb) => ({
      attempts: eb('attempts', '+', 1),
      attempts_ended: eb('attempts_ended', '+', 1),
      last_error: outcome.error,
      refused: outcome.refused ? 1 : 0,
      next_attempt_at: outcome.nextAttemptAt,
      lease_until: null,
      lease_gen: null,
    }))
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Ends a lease without an attempt: no request was made. */
export async function releaseLease(db: Db, lease: Lease, nextAttemptAt: number): Promise<void> {
  await held(db, lease).set({ lease_until: null, lease_gen: null, next_attempt_at: nextAttemptAt }).execute()
}

const endHeldLease = prepared<Lease, LedgerRow>((db, value) =>
  held(db, { userId: value('userId'), gen: value('gen'), until: value('until') })
    .set((eb) => ({ lease_until: null, lease_gen: null, attempts_ended: eb('attempts_ended', '+', 1) }))
    .returningAll(),
)

/**
 * Ends a lease at the end of a fetch, and keeps the row for the rest of the transaction.
 * @returns the row as it is now, or `undefined` if the lease was lost
 */
export async function endLease(db: Db, lease: Lease): Promise<LedgerRow | undefined> {
  return (await endHeldLease(db, lease)).rows[0]
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

/** When the stale lists of each server are next due, and when the server may be asked. */
export type DueServer = { serverName: ServerName; dueAt: number }

const selectDue = prepared<
  { now: number },
  { server_name: ServerName; list_due: number; server_due: number | null; retry_after: number | null }
>((db, value) =>
  db
    .selectFrom('device_lists')
    .leftJoin('destinations', 'destinations.server_name', 'device_lists.server_name')
    .select('device_lists.server_name')
    .select(
      sql<number>`min(case when lease_until > ${value('now')} and lease_until > device_lists.next_attempt_at
        then lease_until else device_lists.next_attempt_at end)`.as('list_due'),
    )
    .select(sql<number | null>`max(destinations.next_attempt_at)`.as('server_due'))
    .select(sql<number | null>`max(destinations.retry_after_until)`.as('retry_after'))
    .where(isStale)
    .where('device_lists.next_attempt_at', '<', sql.lit(PARKED))
    .groupBy('device_lists.server_name'),
)

/** Servers with stale lists that somebody needs. `dueAt` respects leases, the users' waits and the server's own. */
export async function dueServers(db: Db, now: number): Promise<DueServer[]> {
  const { rows } = await selectDue(db, { now })
  return rows.map((row) => ({
    serverName: row.server_name,
    dueAt: Math.max(row.list_due, row.server_due ?? 0, row.retry_after ?? 0),
  }))
}

/** All leases end: for a database that only this process uses, at its start. */
export async function endAllLeases(db: Db): Promise<void> {
  await db
    .updateTable('device_lists')
    .set({ lease_until: null, lease_gen: null })
    .where('lease_until', 'is not', null)
    .execute()
}

/** Forgets lists that nobody shares a room with, last fetched or asked for before `before` (epoch ms). */
export async function forgetUntracked(db: Db, before: number): Promise<void> {
  const old = db
    .selectFrom('device_lists')
    .select('device_lists.user_id')
    .where('tracked', '=', 0)
    .where(sql<boolean>`coalesce(synced_at, doubted_at, 0) < ${before}`)
    .where(isUnleased(before))
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

/** A row of the ledger for operators, with what holds its server back. */
export type LedgerOverview = LedgerRow & { server_next_attempt_at: number | null; retry_after_until: number | null }

type OverviewFilter = {
  serverName?: ServerName | undefined
  userId?: UserId
  state?: 'fresh' | 'pending' | 'failing' | 'untracked'
  reason?: string | undefined
  staleOnly: boolean
  /** Epoch ms; lists that are right have no doubt and are left out. */
  doubtedBefore?: number | undefined
  limit: number
}

/** Rows of the ledger, the oldest doubt first. */
export async function ledgerOverview(db: Db, filter: OverviewFilter): Promise<LedgerOverview[]> {
  const { serverName, userId, state, reason, staleOnly, doubtedBefore, limit } = filter
  let query = overviews(db)
    .orderBy(sql`case when wanted_gen > synced_gen then 0 else 1 end`)
    .orderBy('device_lists.doubted_at')
    .limit(limit)
  if (serverName !== undefined) query = query.where('device_lists.server_name', '=', serverName)
  if (userId !== undefined) query = query.where('device_lists.user_id', '=', userId)
  if (staleOnly || state === 'pending' || state === 'failing' || reason !== undefined) query = query.where(isStale)
  if (state === 'pending') query = query.where('attempts', '=', 0)
  if (state === 'failing') query = query.where('attempts', '>', 0)
  if (state === 'fresh' || state === 'untracked')
    query = query.where(sql<boolean>`wanted_gen = synced_gen`).where('tracked', '=', state === 'fresh' ? 1 : 0)
  if (reason !== undefined) query = query.where('reason', '=', reason)
  if (doubtedBefore !== undefined) query = query.where(isStale).where('doubted_at', '<=', doubtedBefore)
  return query.execute()
}

/** Rows of at most a few hundred users, as operators see them. */
export async function ledgerOverviews(db: Db, userIds: readonly UserId[]): Promise<Map<UserId, LedgerOverview>> {
  if (userIds.length === 0) return new Map()
  const rows = await overviews(db).where('device_lists.user_id', 'in', userIds).execute()
  return new Map(rows.map((row) => [row.user_id, row]))
}

const overviews = (db: Db) =>
  db
    .selectFrom('device_lists')
    .leftJoin('destinations', 'destinations.server_name', 'device_lists.server_name')
    .selectAll('device_lists')
    .select(['destinations.next_attempt_at as server_next_attempt_at', 'destinations.retry_after_until'])

/** Makes all stale lists due now that somebody needs, whatever their waits. @returns how many there are, and their servers */
export async function expediteAll(db: Db, now: number): Promise<{ lists: number; servers: Set<ServerName> }> {
  const rows = await db
    .updateTable('device_lists')
    .set({ next_attempt_at: now, refused: 0 })
    .where(isStale)
    .where('next_attempt_at', '<', PARKED)
    .returning('server_name')
    .execute()
  return { lists: rows.length, servers: new Set(rows.map((row) => row.server_name)) }
}
