import type { Clock } from '../../src/platform/clock.ts'
import { quiet } from './quiet.ts'

export type FakeClock = Clock & {
  /**
   * Lets `ms` milliseconds pass. Timers fire one by one in the order of their times, and before, between and after
   * them everything settles. What a timer's callback throws ends it and is thrown here.
   */
  advance(ms: number): Promise<void>
  /** Makes the clock jump to an epoch time (ms), as when a machine's clock is set: timers take no notice. */
  set(ms: number): void
  pendingTimers(): number
  /** The time on this clock (epoch ms) at which the next timer fires. */
  nextTimerAt(): number | undefined
}

/** More timers than this at one moment are a loop that would never end. */
const TIMERS_AT_ONCE = 100_000

type Timer = { due: number; callback: () => void }

/** 1 January 2026, 00:00 UTC. */
export const FAKE_EPOCH_MS = 1_767_225_600_000

/**
 * A clock that stands still until it is advanced by hand.
 * @param startMs the epoch time that it shows at first
 * @param options.settle waits until nothing is left to do at the present time; the default does for what is in memory.
 * With PostgreSQL pass the `settle` of the test database, or one that knows of it
 */
export function createFakeClock(
  startMs: number = FAKE_EPOCH_MS,
  options: { settle?: () => Promise<void> } = {},
): FakeClock {
  const settle = options.settle ?? (() => quiet())
  // Timers count on time that never jumps; what the clock shows may.
  let elapsed = 0
  let shownAtZero = startMs
  let advancing = false
  const timers = new Set<Timer>()

  function nextTimer(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of timers) if (!next || timer.due < next.due) next = timer
    return next
  }

  async function runUntil(end: number): Promise<void> {
    for (let fired = 0; ; fired++) {
      await settle()
      const timer = nextTimer()
      if (!timer || timer.due > end) break
      if (timer.due > elapsed) fired = 0
      if (fired > TIMERS_AT_ONCE) throw new Error('timers are set again and again for the present moment')
      timers.delete(timer)
      elapsed = Math.max(elapsed, timer.due)
      timer.callback()
    }
    elapsed = end
    await settle()
  }

  return {
    now: () => shownAtZero + elapsed,
    after(delayMs, callback) {
      if (Number.isNaN(delayMs)) throw new RangeError('a timer was set to NaN')
      const timer = { due: elapsed + Math.max(0, delayMs), callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    async advance(ms) {
      if (advancing) throw new Error('the clock is being advanced already')
      advancing = true
      try {
        await runUntil(elapsed + ms)
      } finally {
        advancing = false
      }
    },
    set(ms) {
      shownAtZero = ms - elapsed
    },
    pendingTimers: () => timers.size,
    nextTimerAt() {
      const timer = nextTimer()
      return timer && shownAtZero + timer.due
    },
  }
}
