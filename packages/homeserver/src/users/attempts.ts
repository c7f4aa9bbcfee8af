import { limitExceeded } from '../matrix/errors.ts'
import type { Clock } from '../platform/clock.ts'
import { networkOf } from '../platform/network-of.ts'
import { sharedWindows } from '../storage/shared-limits.ts'
import type { Store } from '../storage/store.ts'

const WINDOW_MS = 5 * 60_000
/**
 * Failures by one address on one account. By account alone there is no limit: it would let anybody lock out
 * anybody.
 */
const PER_ACCOUNT = 10
/** Failures by one address, whatever it guesses at. */
const PER_ADDRESS = 100

/** Bounds guessing at passwords and tokens. */
export type Attempts = {
  /** @throws `M_LIMIT_EXCEEDED` while the address has failed too often, on this account or altogether */
  check(address: string, account?: string): Promise<void>
  /** Counts a failure. */
  failed(address: string, account?: string): Promise<void>
}

/** All processes of a server count together. @param enabled `false` turns the limits off */
export function createAttempts(store: Store, clock: Clock, enabled: boolean): Attempts {
  const failures = sharedWindows(store, clock, {
    'failed logins by account': { limit: PER_ACCOUNT, windowMs: WINDOW_MS },
    'failed logins by address': { limit: PER_ADDRESS, windowMs: WINDOW_MS },
  })
  const keysOf = (address: string, account: string | undefined) => ({
    'failed logins by account': account === undefined ? undefined : `${networkOf(address)} ${account}`,
    'failed logins by address': networkOf(address),
  })
  return {
    async check(address, account) {
      const wait = enabled ? await failures.wait(keysOf(address, account)) : 0
      if (wait > 0) throw limitExceeded(wait, 'Too many failed attempts')
    },
    async failed(address, account) {
      if (enabled) await failures.take(keysOf(address, account))
    },
  }
}
