import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import * as storage from '../storage/device-lists.ts'
import type { FetchFailure } from './failure.ts'
import type { EngineParts } from './ports.ts'
import type { Refresh } from './refresh.ts'

/** A remote user's keys, as JSON text where they are only passed on. */
type RemoteUserKeys = { deviceKeys: string; masterKey: string | null; selfSigningKey: string | null }

/** What is known, and which servers could not be asked: clients ask again for users of those. */
export type RemoteKeys = {
  users: Map<UserId, RemoteUserKeys>
  failures: Map<ServerName, { status: number; message: string }>
}

/** How many users' lists are read by one statement. */
const CHUNK = 500

/**
 * The keys of remote users for `/keys/query`. Fresh lists come from the database without any request; others are
 * fetched, together with whoever else wants them. If that fails, the last known keys are given *and* the server is
 * named as failed; a refusal for one user (403, 404) is an answer and no failure.
 * @param waitMs how long to wait for other servers, in milliseconds
 */
export async function remoteKeys(
  parts: EngineParts,
  refresh: Refresh,
  requester: UserId,
  userIds: readonly UserId[],
  waitMs: number,
): Promise<RemoteKeys> {
  const { store } = parts
  const before = await readAll(userIds, (some) => storage.ledgerRows(store.db, some))
  const missing = userIds.filter((userId) => !refresh.isAtHand(before.get(userId)))
  const obtained = missing.length > 0 ? await refresh.obtain(requester, missing, waitMs) : new Set()

  const snapshots = await readAll(userIds, (some) => storage.snapshotRows(store.db, some))
  const users = new Map<UserId, RemoteUserKeys>()
  for (const [userId, row] of snapshots) {
    users.set(userId, { deviceKeys: row.device_keys, masterKey: row.master_key, selfSigningKey: row.self_signing_key })
  }
  const failures: RemoteKeys['failures'] = new Map()
  const after = await readAll(missing, (some) => storage.ledgerRows(store.db, some))
  for (const userId of missing) {
    if (obtained.has(userId) || isRefused(after.get(userId))) continue
    failures.set(serverNameOf(userId), { status: 503, message: 'The server could not be asked for its newest keys' })
  }
  return { users, failures }
}

function isRefused(row: storage.LedgerRow | undefined): boolean {
  if (!row?.last_error) return false
  return (JSON.parse(row.last_error) as FetchFailure).kind === 'refused'
}

async function readAll<T>(
  userIds: readonly UserId[],
  read: (some: readonly UserId[]) => Promise<Map<UserId, T>>,
): Promise<Map<UserId, T>> {
  if (userIds.length <= CHUNK) return read(userIds)
  const all = new Map<UserId, T>()
  for (let start = 0; start < userIds.length; start += CHUNK) {
    for (const [userId, row] of await read(userIds.slice(start, start + CHUNK))) all.set(userId, row)
  }
  return all
}
