import type { UserId } from '../matrix/ids.ts'
import { addChanges, addNotices, endWaiting, isAwaited } from '../storage/device-list-stream.ts'
import * as storage from '../storage/device-lists.ts'
import type { Tx } from '../storage/store.ts'
import type { FetchFailure } from './failure.ts'
import type { EngineParts } from './ports.ts'
import { retryDelay } from './retry.ts'
import { digestOf, type Snapshot } from './snapshot.ts'

/** What a request that waits for a list waits on: woken whenever an attempt for that user ends. */
export const attemptEnded = (userId: UserId) => `device-list ${userId}`

/** A list as text, for the database. */
export function snapshotRow(userId: UserId, list: Snapshot): storage.SnapshotRow {
  return {
    user_id: userId,
    device_keys: JSON.stringify(Object.fromEntries(list.deviceKeys)),
    keyless: JSON.stringify(list.keyless),
    master_key: list.masterKey && JSON.stringify(list.masterKey),
    self_signing_key: list.selfSigningKey && JSON.stringify(list.selfSigningKey),
  }
}

/** A list from the database, as values. `streamId` stands in the ledger. */
export function snapshotOf(row: storage.SnapshotRow, streamId: number): Snapshot {
  return {
    streamId,
    deviceKeys: new Map(Object.entries(JSON.parse(row.device_keys))),
    keyless: JSON.parse(row.keyless),
    masterKey: row.master_key && JSON.parse(row.master_key),
    selfSigningKey: row.self_signing_key && JSON.parse(row.self_signing_key),
  }
}

/**
 * Ends a fetch with a good list. List, generation and news are written together: whoever shares a room is told if
 * the list differs, whoever waited for it is told in any case.
 * @param before the ledger row as it was when the fetch began
 * @returns whether the list was taken; not if the lease was lost, or updates that came meanwhile are newer
 */
export async function storeList(
  parts: EngineParts,
  before: storage.LedgerRow,
  lease: storage.Lease,
  list: Snapshot,
): Promise<boolean> {
  const { store, clock, sharedRooms } = parts
  const { userId } = lease
  const digest = digestOf(list)!
  const row = snapshotRow(userId, list)
  return store.transaction(async (tx) => {
    const current = await storage.endLease(tx.db, lease)
    if (!current) return false
    const now = clock.now()
    // A lower stream ID alone is fine, as after the remote was rebuilt. Here updates were applied during the fetch.
    if (current.stream_id !== before.stream_id && list.streamId < (current.stream_id ?? 0)) {
      await storage.expedite(tx.db, userId, now)
      return false
    }
    await storage.saveSnapshot(tx.db, row)
    const devices = list.deviceKeys.size + list.keyless.length
    await storage.recordSynced(tx.db, userId, lease.gen, { streamId: list.streamId, digest, devices, now })
    const requesters = await endWaiting(tx.db, userId)
    tx.wake([attemptEnded(userId)])
    const changed = current.digest !== digest && current.tracked === 1
    if (changed) tx.wake(await sharedRooms.localUsers(tx.db, [userId]))
    if (changed) await addChanges(tx.db, await tx.position(), [userId])
    if (requesters.length > 0) await tellRequesters(tx, requesters, userId)
    return true
  })
}

/** Ends a fetch that failed: when it is tried again is durable before anybody hears of the failure. */
export async function storeFailure(
  parts: EngineParts,
  before: storage.LedgerRow,
  lease: storage.Lease,
  failure: FetchFailure,
): Promise<void> {
  const { store, clock, random, settings } = parts
  await store.transaction(async (tx) => {
    const now = clock.now()
    const awaited = await isAwaited(tx.db, lease.userId)
    const attempt = {
      failure,
      attempts: before.attempts + 1,
      doubtAgeMs: now - (before.doubted_at ?? now),
      awaited,
    }
    const needed = awaited || before.tracked === 1
    const nextAttemptAt = needed ? now + retryDelay(attempt, settings, random.fraction()) : storage.PARKED
    const outcome = { error: JSON.stringify(failure), nextAttemptAt, refused: failure.kind === 'refused' }
    await storage.recordFailure(tx.db, lease, outcome)
    tx.wake([attemptEnded(lease.userId)])
  })
}

/** Puts a user into `device_lists.changed` of the requesters' next sync, whether or not anything changed. */
export async function tellRequesters(tx: Tx, requesters: readonly UserId[], userId: UserId): Promise<void> {
  await addNotices(tx.db, await tx.position(), requesters, userId)
  tx.wake(requesters)
}
