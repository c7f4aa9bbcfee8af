import type { ServerName, UserId } from '../matrix/ids.ts'
import { addTransition } from '../storage/device-list-history.ts'
import * as leases from '../storage/device-list-leases.ts'
import { addChanges, addNotices, endWaiting, isAwaited } from '../storage/device-list-stream.ts'
import * as waits from '../storage/device-list-waits.ts'
import * as storage from '../storage/device-lists.ts'
import type { Tx } from '../storage/store.ts'
import { nextAuditAt } from './audit.ts'
import { incoherencesOf } from './coherence.ts'
import { STALE_AT } from './doubts.ts'
import type { FetchFailure } from './failure.ts'
import type { EngineParts } from './ports.ts'
import { retryDelay } from './retry.ts'
import { digestOf, type Snapshot } from './snapshot.ts'
import type { Suspicion } from './suspicion.ts'

/** What a request that waits for a list waits on: woken whenever an attempt for that user ends. */
export const attemptEnded = (userId: UserId) => `device-list ${userId}`

/** A list that contradicts itself as its own server tells it is compared again after this time (ms). */
const INCOHERENT_AUDIT_MS = 60_000
/** An encrypted room is active if one of ours in it was within this time (ms). */
const ACTIVE_MS = 24 * 3_600_000

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
  lease: leases.Lease,
  list: Snapshot,
  suspect: Suspicion['suspect'],
): Promise<boolean> {
  const { store, clock, random, sharedRooms, settings, metrics } = parts
  const { userId } = lease
  const digest = digestOf(list)!
  const row = snapshotRow(userId, list)
  return store.transaction(async (tx) => {
    const current = await leases.endLease(tx.db, lease)
    if (!current) return false
    const now = clock.now()
    // A lower stream ID alone is fine, as after the remote was rebuilt. Here updates were applied during the fetch.
    if (current.stream_id !== before.stream_id && list.streamId < (current.stream_id ?? 0)) {
      await waits.expedite(tx.db, userId, now)
      return false
    }
    await storage.saveSnapshot(tx.db, row)
    const devices = list.deviceKeys.size + list.keyless.length
    const differs = current.digest !== digest
    const auditAt =
      differs && incoherencesOf(userId, list).size > 0
        ? now + INCOHERENT_AUDIT_MS
        : nextAuditAt(now, settings.auditInterval, random.fraction())
    await storage.recordSynced(tx.db, userId, lease.gen, { streamId: list.streamId, digest, devices, now, auditAt })
    if (current.wanted_gen === lease.gen) {
      await addTransition(tx.db, userId, { at: now, event: 'fresh', detail: differs ? 'changed' : 'as it was' })
    }
    if (current.stream_id !== null && list.streamId < current.stream_id)
      await suspect(tx, current.server_name, 'server rebuilt', userId)
    const requesters = await endWaiting(tx.db, userId)
    tx.wake([attemptEnded(userId)])
    const changed = differs && current.tracked === 1
    if (changed) tx.wake(await sharedRooms.wakeKeys(tx.db, [userId]))
    if (changed) await addChanges(tx.db, await tx.position(), [userId])
    if (requesters.length > 0) await tellRequesters(tx, requesters, userId)
    tx.afterCommit(() => {
      if (current.reason === 'audit' && differs) metrics.auditDrift()
      if (current.wanted_gen === lease.gen) metrics.becameFresh(now - (current.doubted_at ?? now))
    })
    return true
  })
}

/** Ends a fetch that failed: when it is tried again is durable before anybody hears of the failure. */
export async function storeFailure(
  { store, clock, random, settings, sharedRooms }: EngineParts,
  lease: leases.Lease,
  serverName: ServerName,
  failure: FetchFailure,
): Promise<void> {
  await store.transaction(async (tx) => {
    const now = clock.now()
    const { userId } = lease
    tx.wake([attemptEnded(userId), STALE_AT + serverName])
    const current = await leases.endLease(tx.db, lease)
    if (!current) return
    const awaited =
      (await isAwaited(tx.db, userId)) || (await sharedRooms.active(tx.db, [userId], now - ACTIVE_MS)).has(userId)
    const attempt = {
      failure,
      attempts: current.attempts + 1,
      doubtAgeMs: now - (current.doubted_at ?? now),
      awaited,
    }
    const needed = awaited || current.tracked === 1
    const nextAttemptAt = needed ? now + retryDelay(attempt, settings, random.fraction()) : storage.PARKED
    const outcome = { error: JSON.stringify(failure), nextAttemptAt, refused: failure.kind === 'refused' }
    await leases.recordFailure(tx.db, userId, outcome)
    await addTransition(tx.db, userId, { at: now, event: 'failed', detail: failure.detail })
  })
}

/** Puts a user into `device_lists.changed` of the requesters' next sync, whether or not anything changed. */
export async function tellRequesters(tx: Tx, requesters: readonly UserId[], userId: UserId): Promise<void> {
  await addNotices(tx.db, await tx.position(), requesters, userId)
  tx.wake(requesters)
}
