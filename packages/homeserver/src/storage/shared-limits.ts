import { createBoundedCache } from '../platform/bounded-cache.ts'
import type { Clock } from '../platform/clock.ts'
import { createInFlight } from '../platform/in-flight.ts'
import { createSlidingWindow, type WindowLimit } from '../platform/sliding-window.ts'
import { type BucketLimit, createTokenBucket } from '../platform/token-bucket.ts'
import { forgetLimits, takeFromBucket, takeFromWindow, windowEvents } from './rate-limits.ts'
import type { Store } from './store.ts'

/** Some of a feature's limits, each with the key that counts. */
type Keys<Name extends string> = { [name in Name]?: string | undefined }

/** Exact limits that all processes of a server keep together. */
export type SharedWindows<Name extends string> = {
  /**
   * Counts one event under all of these keys if it fits everywhere.
   * @returns 0 if it was counted, else the milliseconds until it would fit (nothing was counted)
   */
  take(keys: Keys<Name>): Promise<number>
  /** The milliseconds until an event would fit (0: now), counting nothing. */
  wait(keys: Keys<Name>): Promise<number>
}

/** In memory on SQLite, where there is one process; on PostgreSQL in the database, with memory in front of it. */
export function sharedWindows<Name extends string>(
  store: Store,
  clock: Clock,
  limits: Record<Name, WindowLimit>,
): SharedWindows<Name> {
  const own = new Map(
    Object.entries<WindowLimit>(limits).map(([name, limit]) => [name, createSlidingWindow(clock, limit)]),
  )
  const given = (keys: Keys<Name>) =>
    Object.entries<string | undefined>(keys).flatMap(([name, key]) => (key === undefined ? [] : [{ name, key }]))
  const ownWait = (keys: Keys<Name>) => Math.max(0, ...given(keys).map(({ name, key }) => own.get(name)!.wait(key)))

  async function othersWait({ name, key }: { name: string; key: string }): Promise<number> {
    const { limit, windowMs } = limits[name as Name]
    const now = clock.now()
    const events = await windowEvents(store.db, { name, key, windowMs, now })
    const oldest = events[events.length - limit]
    return oldest === undefined ? 0 : Math.max(1, oldest + windowMs - now)
  }

  async function wait(keys: Keys<Name>): Promise<number> {
    const here = ownWait(keys)
    if (here > 0 || store.dialect === 'sqlite') return here
    return Math.max(0, ...(await Promise.all(given(keys).map(othersWait))))
  }

  /** @returns whether the event fitted everywhere; if not, nothing was counted in the database */
  async function takeTogether(keys: Keys<Name>): Promise<boolean> {
    try {
      await store.transaction(async (tx) => {
        for (const { name, key } of given(keys)) {
          const fits = await takeFromWindow(tx.db, { name, key, ...limits[name as Name], now: clock.now() })
          if (!fits) throw new DoesNotFit()
        }
      })
      return true
    } catch (error) {
      if (error instanceof DoesNotFit) return false
      throw error
    }
  }

  return {
    wait,
    async take(keys) {
      const here = ownWait(keys)
      if (here > 0) return here
      for (const { name, key } of given(keys)) own.get(name)!.take(key)
      if (store.dialect === 'sqlite' || (await takeTogether(keys))) return 0
      for (const { name, key } of given(keys)) own.get(name)!.giveBack(key)
      return Math.max(1, await wait(keys))
    },
  }
}

class DoesNotFit extends Error {}

export type SharedBucket = {
  /** Counts one event for `key` if it fits. @returns 0 if it was counted, else the milliseconds until one would fit */
  take(key: string): Promise<number>
}

/** A process takes this part of a bucket at a time, so that most requests do without the database. */
const PART = 20
/** Keys that a process has taken something for. */
const MAX_KEYS = 50_000

/** A rate limit per key that all processes of a server keep together, give or take what each has taken in advance. */
export function sharedBucket(store: Store, clock: Clock, name: string, bucket: BucketLimit): SharedBucket {
  if (store.dialect === 'sqlite') {
    const own = createTokenBucket(clock, bucket)
    return { take: async (key) => own.take(key) }
  }
  const { limit, windowMs } = bucket
  const intervalMs = windowMs / limit
  const part = Math.max(1, Math.floor(limit / PART))
  const inHand = createBoundedCache<string, number>(MAX_KEYS)
  const taking = createInFlight<number>()

  function spend(key: string): boolean {
    const left = inHand.get(key) ?? 0
    if (left > 0) inHand.set(key, left - 1)
    return left > 0
  }

  /** Takes a part of the bucket, or what is left of it. @returns 0, or how long to wait */
  async function takeMore(key: string): Promise<number> {
    for (const count of new Set([part, 1])) {
      const wait = await takeFromBucket(store.db, { name, key, count, intervalMs, windowMs, now: clock.now() })
      if (wait === 0) inHand.set(key, (inHand.get(key) ?? 0) + count)
      if (wait === 0 || count === 1) return wait
    }
    return 0
  }

  return {
    async take(key) {
      for (;;) {
        if (spend(key)) return 0
        const wait = await taking.share(key, () => takeMore(key))
        if (wait > 0) return wait
      }
    },
  }
}

/** Forgets limits that have no effect any more. */
export async function cleanUpLimits(store: Store, now: number): Promise<void> {
  if (store.dialect === 'postgres') await forgetLimits(store.db, now)
}
