import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { createSizedCache } from '../platform/bounded-cache.ts'
import * as storage from '../storage/device-lists.ts'
import type { FetchFailure } from './failure.ts'
import type { EngineParts } from './ports.ts'
import type { Refresh } from './refresh.ts'

/** A remote user's keys, as JSON text, since they are only passed on; `deviceKeys` in UTF-8, as it goes on the wire. */
type RemoteUserKeys = { deviceKeys: Buffer; masterKey: string | null; selfSigningKey: string | null }

/** What is known, and which servers could not be asked: clients ask again for users of those. */
export type RemoteKeys = {
  users: Map<UserId, RemoteUserKeys>
  failures: Map<ServerName, { status: number; message: string }>
}

/** How much of the lists is kept in memory, in bytes. */
const KEPT_BYTES = 32 * 1024 * 1024

/**
 * The keys of remote users for `/keys/query`. Fresh lists come from the database without any request; others are
 * fetched, together with whoever else wants them. If that fails, the last known keys are given *and* the server is
 * named as failed; a refusal for one user (403, 404) is an answer and no failure.
 * @returns a function; its `waitMs` says how long to wait for other servers, in milliseconds
 */
export function createRemoteKeys(
  { store }: Pick<EngineParts, 'store'>,
  refresh: Pick<Refresh, 'isAtHand' | 'obtain'>,
): (requester: UserId, userIds: readonly UserId[], waitMs: number) => Promise<RemoteKeys> {
  // The ledger is asked at every query and says which list it is; the list itself, which is long, is read once.
  const kept = createSizedCache<UserId, { version: string; keys: RemoteUserKeys }>(
    KEPT_BYTES,
    ({ keys }) => keys.deviceKeys.length + (keys.masterKey?.length ?? 0) + (keys.selfSigningKey?.length ?? 0) + 200,
  )

  async function keysOf(rows: ReadonlyMap<UserId, storage.ListState>): Promise<Map<UserId, RemoteUserKeys>> {
    const found = new Map<UserId, RemoteUserKeys>()
    const unread: UserId[] = []
    for (const [userId, row] of rows) {
      const known = kept.get(userId)
      if (known?.version === versionOf(row)) found.set(userId, known.keys)
      else unread.push(userId)
    }
    for (const [userId, row] of await storage.snapshotRows(store.db, unread)) {
      const keys = {
        deviceKeys: Buffer.from(row.device_keys),
        masterKey: row.master_key,
        selfSigningKey: row.self_signing_key,
      }
      found.set(userId, keys)
      // Read after the ledger row: at worst it is newer than the version says, and read again the next time.
      kept.set(userId, { version: versionOf(rows.get(userId)!), keys })
    }
    return found
  }

  return async (requester, userIds, waitMs) => {
    const rows = await storage.listStates(store.db, userIds)
    const missing = userIds.filter((userId) => !refresh.isAtHand(rows.get(userId)))
    const obtained = missing.length > 0 ? await refresh.obtain(requester, missing, waitMs) : new Set()
    for (const [userId, row] of await storage.listStates(store.db, missing)) rows.set(userId, row)

    const failures: RemoteKeys['failures'] = new Map()
    for (const userId of missing) {
      if (obtained.has(userId) || isRefused(rows.get(userId))) continue
      failures.set(serverNameOf(userId), { status: 503, message: 'The server could not be asked for its newest keys' })
    }
    return { users: await keysOf(rows), failures }
  }
}

/** Differs wherever the lists differ. */
function versionOf(row: storage.ListState): string {
  return `${row.synced_gen} ${row.synced_at} ${row.stream_id} ${row.digest}`
}

function isRefused(row: storage.ListState | undefined): boolean {
  if (!row?.last_error) return false
  return (JSON.parse(row.last_error) as FetchFailure).kind === 'refused'
}
