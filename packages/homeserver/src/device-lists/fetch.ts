import type { FederationAnswer } from '../matrix/federation.ts'
import type { UserId } from '../matrix/ids.ts'
import { backoffDelay } from '../platform/backoff.ts'
import * as leases from '../storage/device-list-leases.ts'
import type * as storage from '../storage/device-lists.ts'
import { type FetchFailure, failureOf, invalidList, isDestinationFailure } from './failure.ts'
import type { Flights } from './flights.ts'
import type { HeldLease } from './lease.ts'
import { storeFailure, storeList } from './lists.ts'
import type { EngineParts } from './ports.ts'
import { MAX_SNAPSHOT_BYTES, readSnapshot, type Snapshot } from './snapshot.ts'
import type { Suspicion } from './suspicion.ts'

/** How a fetch is made: a person's wish goes ahead of back-off, and through the bounds on outgoing requests. */
export type FetchManner = { insist: boolean; admit?: (address: string) => Promise<boolean> }

/**
 * Where other fetches wait, one that hangs is given up this soon (ms): the first time, and after several that failed. Else a few
 * dozen servers that hang would use up all fetches for as long as they may take.
 */
const PATIENCE = { baseMs: 2_000, capMs: 10_000 }

/** What fetches share. */
export type FetchTools = { flights: Flights; suspect: Suspicion['suspect'] }

/** A list that is to be fetched, with the lease of it. */
export type ClaimedList = { row: storage.LedgerRow; held: HeldLease }

/** What the end of a fetch says about its server: may more lists be fetched from it right away? */
export type ServerVerdict = 'goes on' | 'held back'

/**
 * Fetches one list whose lease the caller holds, and ends the lease.
 * `GET /_matrix/federation/v1/user/devices/{userId}`; only this request tells the stream ID.
 * @param isPressed whether other fetches wait for this one to end
 */
export async function fetchList(
  parts: EngineParts,
  { row, held }: ClaimedList,
  manner: FetchManner,
  tools: FetchTools,
  isPressed: () => boolean,
): Promise<ServerVerdict> {
  const { store, settings, transport, log, metrics } = parts
  const patienceMs = backoffDelay(PATIENCE, row.attempts + 1, 1)
  const limits = { timeoutMs: settings.fetchTimeout, patienceMs, isPressed }
  const flight = tools.flights.fly(row.server_name, limits, (again, signal) =>
    transport.request(row.server_name, {
      method: 'GET',
      path: `/_matrix/federation/v1/user/devices/${encodeURIComponent(row.user_id)}`,
      timeoutMs: settings.fetchTimeout,
      maxBytes: MAX_SNAPSHOT_BYTES,
      urgency: manner.insist || again ? 'insist' : 'normal',
      ...(manner.admit ? { admit: manner.admit } : {}),
      signal,
    }),
  )
  const answer = await flight.finally(held.end)
  const lease = await held.end()
  if (answer.kind === 'failure' && (answer.failure === 'backed_off' || answer.failure === 'aborted')) {
    // Nothing was asked, so nothing has failed.
    await leases.releaseLease(store.db, lease, answer.retryAt ?? 0)
    return 'held back'
  }
  const result = listIn(parts, row.user_id, answer)
  if ('list' in result) {
    metrics.resyncEnded('fresh')
    await storeList(parts, row, lease, result.list, tools.suspect)
    return 'goes on'
  }
  log.info(
    { userId: row.user_id, kind: result.failure.kind, detail: result.failure.detail },
    'fetching a device list failed',
  )
  metrics.resyncEnded(result.failure.kind)
  await storeFailure(parts, lease, row.server_name, result.failure)
  const { failure } = result
  return isDestinationFailure(failure) || failure.kind === 'limited' ? 'held back' : 'goes on'
}

/** Reads an answer. Cross-signing keys that cannot be used are left out and told to the operator. */
function listIn(
  { settings, clock, log }: EngineParts,
  userId: UserId,
  answer: FederationAnswer,
): { list: Snapshot } | { failure: FetchFailure } {
  if (answer.kind !== 'answer' || answer.status !== 200) return { failure: failureOf(answer, clock.now()) }
  const reading = readSnapshot(answer.body, userId, settings.keepDisplayNames)
  if (!reading.ok) return { failure: invalidList(reading.why, clock.now()) }
  if (reading.dropped.length > 0) log.warn({ userId, dropped: reading.dropped }, 'left out of a device list')
  return { list: reading.snapshot }
}
