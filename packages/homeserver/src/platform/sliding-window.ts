import { createBoundedCache } from './bounded-cache.ts'
import type { Clock } from './clock.ts'

/** At most `limit` events in any `windowMs` milliseconds. */
export type WindowLimit = { limit: number; windowMs: number }

export type SlidingWindow = {
  /**
   * Counts one event for `key` if it fits.
   * @returns 0 if it was counted, else the milliseconds until one would fit (nothing was counted)
   */
  take(key: string): number
  /** The milliseconds until an event for `key` would fit (0: now), counting nothing. */
  wait(key: string): number
  /** Takes the newest event of `key` back: it was not let through after all. */
  giveBack(key: string): void
}

/**
 * An exact rate limit per key, in memory, with a bounded number of keys (the least recently used is forgotten).
 * The clock comes from outside, and a clock that jumps back never locks anybody out for longer than one window.
 */
export function createSlidingWindow(clock: Clock, { limit, windowMs }: WindowLimit, maxKeys = 50_000): SlidingWindow {
  const times = createBoundedCache<string, number[]>(maxKeys)
  function current(key: string, now: number): number[] {
    const kept = (times.get(key) ?? []).filter((at) => at > now - windowMs && at <= now)
    times.set(key, kept)
    return kept
  }
  const waitFor = (kept: number[], now: number) => {
    const oldest = kept[kept.length - limit]
    return oldest === undefined ? 0 : Math.max(1, oldest + windowMs - now)
  }
  return {
    take(key) {
      const now = clock.now()
      const kept = current(key, now)
      const wait = waitFor(kept, now)
      if (wait === 0) kept.push(now)
      return wait
    },
    wait(key) {
      const now = clock.now()
      return waitFor(current(key, now), now)
    },
    giveBack: (key) => void times.get(key)?.pop(),
  }
}
