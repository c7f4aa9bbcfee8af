import type { Cancel } from '../platform/clock.ts'
import * as leases from '../storage/device-list-leases.ts'
import type * as storage from '../storage/device-lists.ts'
import type { EngineParts } from './ports.ts'

/** The work of a process that has died waits for so long at most until another one takes it over (ms). */
export const LEASE_MS = 15_000
/** A lease is prolonged this often while it is needed (ms). */
const PROLONG_EVERY_MS = 5_000

/** A lease that is prolonged again and again until it is needed no longer. */
export type HeldLease = {
  /** Prolongs it no more. @returns it as it is now; it may have been lost */
  end(): Promise<leases.Lease>
}

/** @param row as it was claimed */
export function holdLease({ store, clock }: Pick<EngineParts, 'store' | 'clock'>, row: storage.LedgerRow): HeldLease {
  let lease = { userId: row.user_id, gen: row.lease_gen!, until: row.lease_until! }
  let ended = false
  let running: Promise<void> | undefined
  let cancel: Cancel = () => {}

  function next(): void {
    if (ended) return
    cancel = clock.after(PROLONG_EVERY_MS, () => {
      // What fails is tried again: the lease lasts for longer than two of these.
      running = prolong().then(next, next)
    })
  }

  async function prolong(): Promise<void> {
    const until = clock.now() + LEASE_MS
    if (await leases.prolongLease(store.db, lease, until)) lease = { ...lease, until }
  }

  next()
  return {
    async end() {
      ended = true
      cancel()
      await running
      return lease
    },
  }
}
