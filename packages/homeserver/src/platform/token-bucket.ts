import { createBoundedCache } from './bounded-cache.ts'
import type { Clock } from './clock.ts'

/** `limit` events at once, and then one whenever `windowMs / limit` milliseconds are over. */
export type BucketLimit = { limit: number; windowMs: number }

export type TokenBucket = {
  /**
   * Counts one event for `key` if it fits.
   * @returns 0 if it was counted, else the milliseconds until one would fit (nothing was counted)
   */
  take(key: string): number
}

/**
 * A rate limit per key that costs the same however many events it lets through, in memory, with a bounded number of keys. A clock
 * that jumps back locks nobody out for longer than one window.
 */
export function createTokenBucket(clock: Clock, { limit, windowMs }: BucketLimit, maxKeys = 50_000): TokenBucket {
  const interval = windowMs / limit
  // When a key's bucket will be full again.
  const fullAt = createBoundedCache<string, number>(maxKeys)
  return {
    take(key) {
      const now = clock.now()
      const before = fullAt.get(key) ?? now
      // No bucket is full later than in one window: that is from before the clock jumped.
      const until = before > now + windowMs ? now : Math.max(before, now)
      const wait = until + interval - (now + windowMs)
      // A sum of fractions may be a hair too large.
      if (wait > 1e-6) return Math.ceil(wait)
      fullAt.set(key, until + interval)
      return 0
    },
  }
}
