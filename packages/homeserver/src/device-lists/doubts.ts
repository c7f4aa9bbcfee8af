import { serverNameOf, type UserId } from '../matrix/ids.ts'
import * as storedDoubts from '../storage/device-list-doubts.ts'
import { addTransition, addTransitions } from '../storage/device-list-history.ts'
import * as storage from '../storage/device-lists.ts'
import type { Tx } from '../storage/store.ts'
import type { DoubtReason } from './decide.ts'

/** Begins the key by which processes tell each other that lists of a server are stale. */
export const STALE_AT = 'stale lists at: '

/**
 * Raises a doubt about one list inside the transaction of what gave rise to it. A list that somebody needs is due at
 * once; one that nobody needs is only no longer trusted.
 */
export async function raiseDoubt(
  tx: Tx,
  userId: UserId,
  doubt: { reason: DoubtReason; now: number; needed: boolean },
): Promise<storage.LedgerRow> {
  const { reason, now, needed } = doubt
  const nextAttemptAt = needed ? now : storage.PARKED
  const row = await storedDoubts.raiseDoubt(tx.db, {
    userId,
    serverName: serverNameOf(userId),
    reason,
    now,
    nextAttemptAt,
  })
  const wasFresh = row.wanted_gen === row.synced_gen + 1
  if (needed) tx.wake([STALE_AT + serverNameOf(userId)])
  if (wasFresh) await addTransition(tx.db, userId, { at: now, event: 'doubted', detail: reason })
  return row
}

/** Raises the same doubt about the lists of many, each named once: no more than one statement has room for. */
export async function raiseDoubts(
  tx: Tx,
  userIds: readonly UserId[],
  { reason, now, needed }: { reason: DoubtReason; now: number; needed: boolean },
): Promise<void> {
  const nextAttemptAt = needed ? now : storage.PARKED
  const users = userIds.map((userId) => ({ userId, serverName: serverNameOf(userId) }))
  const fresh = await storedDoubts.raiseDoubts(tx.db, users, { reason, now, nextAttemptAt })
  if (needed) tx.wake(users.map(({ serverName }) => STALE_AT + serverName))
  await addTransitions(tx.db, fresh, { at: now, event: 'doubted', detail: reason })
}
