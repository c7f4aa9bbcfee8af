import { createWorkerLoop, type WorkerLoop } from '../platform/worker-loop.ts'
import {
  countStale,
  countsSince,
  forgetCounts,
  newestCounts,
  type StaleCount,
  saveCounts,
} from '../storage/device-list-counts.ts'
import type { EngineParts } from './ports.ts'

/** Stale lists are counted at moments so far apart (ms), the same ones in every process. */
const INTERVAL_MS = 10 * 60_000
/** Counts are kept for so long (ms). */
const KEPT_MS = 14 * 24 * 3_600_000

/** How many lists were stale over time, for operators. */
export function createCounts({ store, clock, log }: Pick<EngineParts, 'store' | 'clock' | 'log'>): {
  /** What was counted since a moment (epoch ms), the last two weeks at most, and what it is now. */
  since(moment: number): Promise<StaleCount[]>
  loop: WorkerLoop
} {
  return {
    async since(moment) {
      const now = clock.now()
      const kept = await countsSince(store.db, Math.max(moment, now - KEPT_MS))
      return [...kept.filter(({ at }) => at < now), ...(await countStale(store.db, now))]
    },
    loop: createWorkerLoop({
      clock,
      onError: (error) => log.error({ err: error }, 'counting stale device lists failed'),
      async pass() {
        const now = clock.now()
        const moment = now - (now % INTERVAL_MS)
        if ((await newestCounts(store.db)) !== moment) {
          const counts = await countStale(store.db, now)
          await saveCounts(
            store.db,
            counts.map((count) => ({ ...count, at: moment })),
          )
          await forgetCounts(store.db, now - KEPT_MS)
        }
        return { more: false, nextAt: moment + INTERVAL_MS }
      },
    }),
  }
}
