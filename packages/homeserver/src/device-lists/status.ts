import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { type Transition, transitionsOf } from '../storage/device-list-history.ts'
import * as overview from '../storage/device-list-overview.ts'
import { askedAt } from '../storage/device-list-stream.ts'
import * as storage from '../storage/device-lists.ts'
import type { FetchFailure } from './failure.ts'
import type { EngineParts } from './ports.ts'
import { describeFailure } from './relay.ts'

/** The state of a list as its requesters see it; times in epoch milliseconds, `null` where nothing applies. */
export type ListStatus = {
  state: 'fresh' | 'pending' | 'failing' | 'untracked'
  synced_at: number | null
  stream_id: number | null
  devices: number | null
  last_error: string | null
  attempts: number | null
  next_attempt_at: number | null
}

/** The state of a list as operators see it. */
export type ListOverview = {
  userId: UserId
  server: ServerName
  state: ListStatus['state']
  reason: string | null
  doubtedAt: number | null
  syncedAt: number | null
  attempts: number
  nextAttemptAt: number | null
  /** The detail, which clients never see. */
  lastError: string | null
  devices: number | null
  /** When it is compared with the owner's next, while a room is shared. */
  auditAt: number | null
  /** When it was last known to be the owner's own. */
  confirmedAt: number | null
}

/** Which lists operators want to see. Ages are those of the doubt, in ms. */
export type ListFilter = {
  server?: ServerName | undefined
  state?: ListStatus['state']
  reason?: string | undefined
  staleOnly: boolean
  minAgeMs?: number
  limit: number
}

/** Who asked for a list is shown its state for this long (ms). */
export const ASKED_FOR_MS = 24 * 3_600_000

/** Of a list that is nobody's concern. */
export const UNTRACKED: ListStatus = {
  state: 'untracked',
  synced_at: null,
  stream_id: null,
  devices: null,
  last_error: null,
  attempts: null,
  next_attempt_at: null,
}

/**
 * The state of a user's list, for one who shares a room with them or has asked for a refresh within the last day;
 * `untracked` for anybody else, so that it does not tell whom others talk to.
 * @returns `undefined` for an unknown user of our own
 */
export async function listStatus(
  parts: EngineParts,
  requester: UserId,
  userId: UserId,
): Promise<ListStatus | undefined> {
  const { store, clock, sharedRooms } = parts
  if (serverNameOf(userId) === parts.serverName) {
    // Our own users' lists are the truth itself.
    return (await parts.localUserExists(userId)) ? { ...UNTRACKED, state: 'fresh', attempts: 0 } : undefined
  }
  const now = clock.now()
  const sharing = await sharedRooms.sharing(store.db, requester, [userId])
  if (!sharing.has(userId)) {
    const asked = await askedAt(store.db, requester, userId)
    if (asked === undefined || asked < now - ASKED_FOR_MS) return UNTRACKED
  }
  const [row] = await overview.ledgerOverview(store.db, { userId, staleOnly: false, limit: 1 })
  if (!row) return UNTRACKED
  return statusOf(row)
}

/** The state of a list as its requesters see it. */
export function statusOf(row: overview.LedgerOverview): ListStatus {
  const failure: FetchFailure | null = row.last_error && JSON.parse(row.last_error)
  return {
    state: stateOf(row),
    synced_at: row.synced_at,
    stream_id: row.stream_id,
    devices: row.devices,
    last_error: failure && describeFailure(failure, row.server_name).error,
    attempts: row.attempts,
    next_attempt_at: nextAttemptOf(row),
  }
}

/** Lists as operators see them: stale ones first, the oldest doubt at the top. */
export async function listOverview(parts: EngineParts, filter: ListFilter): Promise<ListOverview[]> {
  const { server, minAgeMs = 0, ...rest } = filter
  const doubtedBefore = minAgeMs > 0 ? parts.clock.now() - minAgeMs : undefined
  const rows = await overview.ledgerOverview(parts.store.db, { ...rest, serverName: server, doubtedBefore })
  return rows.map(overviewOf)
}

/** One list, with what it went through lately, newest first. @returns `undefined` if there is none */
export async function listHistory(
  parts: EngineParts,
  userId: UserId,
): Promise<(ListOverview & { history: Transition[] }) | undefined> {
  const [row] = await overview.ledgerOverview(parts.store.db, { userId, staleOnly: false, limit: 1 })
  return row && { ...overviewOf(row), history: await transitionsOf(parts.store.db, userId) }
}

function overviewOf(row: overview.LedgerOverview): ListOverview {
  const failure: FetchFailure | null = row.last_error && JSON.parse(row.last_error)
  const stale = isStale(row)
  return {
    userId: row.user_id,
    server: row.server_name,
    state: !stale && row.tracked === 0 ? 'untracked' : stateOf(row),
    reason: stale ? row.reason : null,
    doubtedAt: stale ? row.doubted_at : null,
    syncedAt: row.synced_at,
    attempts: row.attempts,
    nextAttemptAt: nextAttemptOf(row),
    lastError: failure?.detail ?? null,
    devices: row.devices,
    auditAt: row.tracked === 1 ? row.audit_at : null,
    confirmedAt: row.confirmed_at,
  }
}

const isStale = (row: storage.LedgerRow) => row.wanted_gen > row.synced_gen

function stateOf(row: storage.LedgerRow): 'fresh' | 'pending' | 'failing' {
  if (!isStale(row)) return 'fresh'
  return row.attempts > 0 ? 'failing' : 'pending'
}

function nextAttemptOf(row: overview.LedgerOverview): number | null {
  if (!isStale(row) || row.next_attempt_at === storage.PARKED) return null
  return Math.max(row.next_attempt_at, row.server_next_attempt_at ?? 0, row.retry_after_until ?? 0)
}
