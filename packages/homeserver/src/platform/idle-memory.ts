import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Clock } from './clock.ts'
import { createWorkerLoop, type WorkerLoop } from './worker-loop.ts'

/** How often it is looked whether the process is quiet (ms), and for how long it then leaves its memory alone. */
const LOOK_MS = 2_000
const REST_MS = 20_000
/** A process that uses less of a core is quiet. */
const QUIET = 0.02
/** Garbage is worth a pause once the process has used so much CPU time since the last one (ms). */
const WORTH_MS = 300

/**
 * Gives back what a busy time has left behind, once it is over. V8 collects when it needs room, which a process that has
 * become quiet never does: it would keep the garbage of its start, or of its last rush, for good.
 * @param parts.usedMs CPU time of this process so far, in milliseconds
 * @param parts.collect collects all garbage; takes a tenth of a second or so, in which nothing else happens
 */
export function createIdleCollection(parts: {
  clock: Clock
  usedMs: () => number
  collect: () => void
  onError: (error: unknown) => void
}): WorkerLoop {
  const { clock, usedMs, collect, onError } = parts
  // The start itself is such a time.
  let usedAtCollection = 0
  let before = { at: clock.now(), used: usedMs() }
  return createWorkerLoop({
    clock,
    onError,
    async pass() {
      const now = clock.now()
      const isQuiet = usedMs() - before.used < (now - before.at) * QUIET
      const collects = isQuiet && usedMs() - usedAtCollection > WORTH_MS
      if (collects) {
        collect()
        usedAtCollection = usedMs()
      }
      before = { at: now, used: usedMs() }
      return { more: false, nextAt: now + (collects ? REST_MS : LOOK_MS) }
    },
  })
}

/** CPU time of this process so far, in milliseconds. */
export function processCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** Node shows V8's collector only to who asks for it by a flag; this way the flag is of no consequence to the compile cache. */
export function collectAllGarbage(): void {
  setFlagsFromString('--expose-gc')
  const gc: NonNullable<typeof globalThis.gc> = runInNewContext('gc')
  // Any other kind leaves the pages with the process.
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
