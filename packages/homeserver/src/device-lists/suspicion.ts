import type { ServerName, UserId } from '../matrix/ids.ts'
import type { WatchedClock } from '../platform/clock.ts'
import { createWorkerLoop, type WorkerLoop } from '../platform/worker-loop.ts'
import { bringWaitsForward, takeSetBack } from '../storage/clock-jumps.ts'
import { doubtTracked, lastAlive, noteAlive, takeSuspicion } from '../storage/device-list-suspicion.ts'
import type { Tx } from '../storage/store.ts'
import type { DoubtReason } from './decide.ts'
import type { EngineParts } from './ports.ts'
import type { Resync } from './resync.ts'

/** This server says so often that it is up (ms). */
const ALIVE_INTERVAL_MS = 60_000
/** The clock is looked at this often, to see whether it was set back (ms). */
const CLOCK_LOOK_MS = 10_000
/** A clock that is set back by less than this is let be: another machine's may be behind by as much (ms). */
const SET_BACK_MS = 5_000
/** Processes that notice the same do so within this time (ms). */
const SET_RIGHT_EVERY_MS = 30_000

export type Suspicion = {
  /**
   * Doubts all lists of a server, once in `silence_suspect` at most, so that a flapping server buys nothing.
   * @param except a list that is known to be right
   */
  suspect(tx: Tx, serverName: ServerName, reason: DoubtReason, except?: UserId): Promise<void>
  /**
   * Looks for how long this server was away, and doubts all lists if that was longer than `silence_suspect`.
   * @returns whether it was away at all: others have backed off meanwhile, and are to hear that we are back
   */
  takeStock(): Promise<boolean>
  /** Says that this server is up, again and again; and notices a clock that was set back, so that nothing waits for longer. */
  alive: WorkerLoop
}

/** What makes all lists of a server doubtful at once. */
export function createSuspicion(
  parts: EngineParts & { clock: WatchedClock },
  resync: Pick<Resync, 'wake' | 'look'>,
): Suspicion {
  const { store, clock, log, settings } = parts
  const longest = settings.silenceSuspect
  let notedAt = Number.NEGATIVE_INFINITY

  /** Of several processes, which all notice it, one sets right what waits. @param latest what the clock has shown (epoch ms) */
  async function setRight(tx: Tx, now: number, latest: number): Promise<void> {
    const byMs = latest - now
    if (byMs < SET_BACK_MS) return
    if (store.dialect === 'postgres' && !(await takeSetBack(tx.db, now, now - SET_RIGHT_EVERY_MS))) return
    log.warn({ byMs }, 'the clock was set back')
    await bringWaitsForward(tx.db, now, byMs)
    tx.afterCommit(resync.look)
  }

  async function noteClock(): Promise<void> {
    const now = clock.now()
    const wentBack = clock.latest() - now >= SET_BACK_MS
    if (!wentBack && now - notedAt < ALIVE_INTERVAL_MS) return
    await store.transaction(async (tx) => {
      await setRight(tx, now, clock.latest())
      await noteAlive(tx.db, now)
    })
    if (wentBack) clock.forget()
    notedAt = now
  }

  return {
    async suspect(tx, serverName, reason, except) {
      const now = clock.now()
      if (longest === 0 || !(await takeSuspicion(tx.db, serverName, now, now - longest))) return
      const { lists } = await doubtTracked(tx.db, { serverName, reason, now, ...(except && { except }) })
      if (lists === 0) return
      log.info({ serverName, reason }, 'all device lists of a server are in doubt')
      tx.afterCommit(() => resync.wake(serverName))
    },
    async takeStock() {
      const now = clock.now()
      const awayMs = await store.transaction(async (tx) => {
        const last = await lastAlive(tx.db)
        if (last !== undefined && longest > 0 && now - last > longest)
          await doubtTracked(tx.db, { reason: 'we were away', now })
        if (last !== undefined) await setRight(tx, now, last)
        await noteAlive(tx.db, now)
        return last === undefined ? undefined : now - last
      })
      if (awayMs === undefined) return false
      log.info({ awayMs }, 'this server is back')
      // Other processes of this server may have been up all the time.
      return store.dialect === 'sqlite' || awayMs > 2 * ALIVE_INTERVAL_MS || awayMs < 0
    },
    alive: createWorkerLoop({
      clock,
      onError: (error) => log.error({ err: error }, 'noting that this server is up failed'),
      async pass() {
        await noteClock()
        return { more: false, nextAt: clock.now() + CLOCK_LOOK_MS }
      },
    }),
  }
}
