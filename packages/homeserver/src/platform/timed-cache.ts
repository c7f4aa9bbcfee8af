import { createBoundedCache } from './bounded-cache.ts'
import type { Clock } from './clock.ts'

/** Values that are good for a while, the least recently used forgotten first. */
export type TimedCache<V> = {
  /** @returns `undefined` once the time of the value is over */
  get(key: string): V | undefined
  /** @param lifetimeMs how long the value is good, in milliseconds */
  set(key: string, value: V, lifetimeMs: number): void
  delete(key: string): void
}

/**
 * A bounded cache on the given clock. A clock that jumps back makes values expire early, never late.
 * @param max how many values are kept
 */
export function createTimedCache<V>(clock: Clock, max: number): TimedCache<V> {
  const entries = createBoundedCache<string, { value: V; from: number; until: number }>(max)
  return {
    get(key) {
      const entry = entries.get(key)
      if (!entry) return undefined
      const now = clock.now()
      return entry.from <= now && now < entry.until ? entry.value : undefined
    },
    set(key, value, lifetimeMs) {
      const from = clock.now()
      entries.set(key, { value, from, until: from + lifetimeMs })
    },
    delete: (key) => void entries.delete(key),
  }
}
