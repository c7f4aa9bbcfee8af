/** Ends a timer; calling it again, or after the timer has fired, does nothing. */
export type Cancel = () => void

/**
 * Time as the server sees it. Everything that reads the time or waits for it goes through here, so that tests advance
 * a clock by hand and no test waits for real time.
 */
export type Clock = {
  /** Now, in epoch milliseconds. It may jump, forwards and backwards, as a machine's clock does. */
  now(): number
  /** Calls `callback` once, `delayMs` milliseconds from now. Never keeps the process alive by itself. */
  after(delayMs: number, callback: () => void): Cancel
}

/** The longest delay a Node timer can take, in milliseconds; longer ones would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** The machine's own clock. */
export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    after(delayMs, callback) {
      const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), MAX_TIMER_MS))
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}

/** A clock that knows the latest time it has shown, by which it can be told that it was set back. */
export type WatchedClock = Clock & {
  /** The latest time it has shown since it was built, or since `forget` (epoch ms). */
  latest(): number
  forget(): void
}

export function watchedClock({ now, after }: Clock): WatchedClock {
  let latest = Number.NEGATIVE_INFINITY
  return {
    after,
    now() {
      const at = now()
      if (at > latest) latest = at
      return at
    },
    latest: () => latest,
    forget() {
      latest = now()
    },
  }
}

/**
 * Resolves after `delayMs` milliseconds, or as soon as `signal` is aborted.
 * @returns `true` if the time has passed, `false` if the signal came first
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve(false)
    const onAbort = () => {
      cancel()
      resolve(false)
    }
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve(true)
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
