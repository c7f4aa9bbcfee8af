import type { Cancel, Clock } from './clock.ts'

/** What a pass found: more to do at once, or when to look again (epoch ms; `null`: when woken). */
export type PassResult = { more: boolean; nextAt: number | null }

export type WorkerLoop = {
  start(): void
  /** A hint that there is work. A wake-up during a pass leads to another pass: none is lost. */
  wake(): void
  /** Aborts the signal of a running pass, waits for its end; nothing runs afterwards. */
  stop(): Promise<void>
}

/** After a pass that threw, the next one comes this much later (ms), unless woken. */
const PAUSE_AFTER_ERROR_MS = 5_000

/**
 * One background loop: the rows in the database are the truth, `wake()` is a hint. Passes never overlap.
 * @param pass does what is due; it must observe the signal
 * @param onError hears what a pass threw; the loop goes on
 * @param lookEveryMs a pass comes at least this often: other processes may have left work behind that nothing here knows of
 */
export function createWorkerLoop(options: {
  clock: Clock
  pass: (signal: AbortSignal) => Promise<PassResult>
  onError: (error: unknown) => void
  lookEveryMs?: () => number | undefined
}): WorkerLoop {
  const { clock, pass, onError, lookEveryMs = () => undefined } = options
  const stopping = new AbortController()
  let running: Promise<void> | undefined
  let woken = false
  let started = false
  let cancelTimer: Cancel = () => {}

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = false
      const result = await pass(stopping.signal).catch((error: unknown): PassResult => {
        if (!stopping.signal.aborted) onError(error)
        return { more: false, nextAt: clock.now() + PAUSE_AFTER_ERROR_MS }
      })
      if (result.more || woken) continue
      const untilNextMs = result.nextAt === null ? Number.POSITIVE_INFINITY : result.nextAt - clock.now()
      const waitMs = Math.min(untilNextMs, lookEveryMs() ?? Number.POSITIVE_INFINITY)
      if (waitMs < Number.POSITIVE_INFINITY && !stopping.signal.aborted) cancelTimer = clock.after(waitMs, wake)
      return
    }
  }

  function wake(): void {
    woken = true
    if (!started || running || stopping.signal.aborted) return
    cancelTimer()
    running = run().finally(() => {
      running = undefined
      if (woken) wake()
    })
  }

  return {
    start() {
      started = true
      wake()
    },
    wake,
    async stop() {
      stopping.abort()
      cancelTimer()
      await running
    },
  }
}
