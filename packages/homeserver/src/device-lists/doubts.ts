import { serverNameOf, type UserId } from '../matrix/ids.ts'
import * as storage from '../storage/device-lists.ts'
import type { Tx } from '../storage/store.ts'
import type { DoubtReason } from './decide.ts'

/**
 * Raises a doubt about one list inside the transaction of what gave rise to it. A list that somebody needs is due at
 * once; one that nobody needs is only no longer trusted.
 */
export function raiseDoubt(
  tx: Tx,
  userId: UserId,
  doubt: { reason: DoubtReason; now: number; needed: boolean },
): Promise<storage.LedgerRow> {
  return storage.raiseDoubt(tx.db, {
    userId,
    serverName: serverNameOf(userId),
    reason: doubt.reason,
    now: doubt.now,
    nextAttemptAt: doubt.needed ? doubt.now : storage.PARKED,
  })
}
