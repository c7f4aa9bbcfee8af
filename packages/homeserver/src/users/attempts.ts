import { limitExceeded } from '../matrix/errors.ts'
import type { Clock } from '../platform/clock.ts'
import { createSlidingWindow } from '../platform/sliding-window.ts'

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
  check(address: string, account?: string): void
  /** Counts a failure. */
  failed(address: string, account?: string): void
}

/** @param enabled `false` turns the limits off */
export function createAttempts(clock: Clock, enabled: boolean): Attempts {
  const byAccount = createSlidingWindow(clock, { limit: PER_ACCOUNT, windowMs: WINDOW_MS })
  const byAddress = createSlidingWindow(clock, { limit: PER_ADDRESS, windowMs: WINDOW_MS })
  const keyOf = (address: string, account: string) => `${address} ${account}`
  return {
    check(address, account) {
      if (!enabled) return
      const forAccount = account === undefined ? 0 : byAccount.wait(keyOf(address, account))
      const wait = Math.max(forAccount, byAddress.wait(address))
      if (wait > 0) throw limitExceeded(wait, 'Too many failed attempts')
    },
    failed(address, account) {
      if (!enabled) return
      if (account !== undefined) byAccount.take(keyOf(address, account))
      byAddress.take(address)
    },
  }
}
