import { sql } from 'kysely'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { byUser, isStale, type LedgerRow } from './device-lists.ts'
import type { Db } from './store.ts'

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
  return byUser(rows)
}

const overviews = (db: Db) =>
  db
    .selectFrom('device_lists')
    .leftJoin('destinations', 'destinations.server_name', 'device_lists.server_name')
    .selectAll('device_lists')
    .select(['destinations.next_attempt_at as server_next_attempt_at', 'destinations.retry_after_until'])
