import type { Clock } from './clock.ts'

/** A bounded number of permits, given out in the order of asking. */
export type Semaphore = {
  /** Waits for a permit, runs `task`, gives the permit back. */
  run<T>(task: () => Promise<T>): Promise<T>
  /** Whether somebody waits for a permit. */
  isAwaited(): boolean
}

/** @param permits how many tasks may run at the same time */
export function createSemaphore(permits: number): Semaphore {
  let used = 0
  const waiting: (() => void)[] = []
  return {
    async run(task) {
      if (used >= permits) await new Promise<void>((resolve) => waiting.push(resolve))
      else used++
      try {
        return await task()
      } finally {
        const next = waiting.shift()
        if (next) next()
        else used--
      }
    },
    isAwaited: () => waiting.length > 0,
  }
}

/**
 * The same for requests to others, of which some hang: a task that takes longer than `patienceMs` keeps its permit from nobody, and
 * counts among the `most` that run altogether only.
 */
export function createPatientSemaphore(
  clock: Clock,
  { permits, patienceMs, most }: { permits: number; patienceMs: number; most: number },
): Semaphore {
  const quick = createSemaphore(permits)
  const all = createSemaphore(most)

  /** Ends when the task does, or with our patience. */
  async function watch(work: Promise<unknown>): Promise<void> {
    const { promise: end, resolve } = Promise.withResolvers<unknown>()
    const cancel = clock.after(patienceMs, () => resolve(undefined))
    work.then(resolve, resolve)
    await end
    cancel()
  }

  return {
    run: <T>(task: () => Promise<T>) =>
      all.run(
        () =>
          new Promise<T>((resolve, reject) => {
            void quick.run(() => {
              const work = task()
              work.then(resolve, reject)
              return watch(work)
            })
          }),
      ),
    isAwaited: () => quick.isAwaited() || all.isAwaited(),
  }
}

/**
 * The same for work that is all on the one thread: places that have become free are given out once a turn of the event loop, to all
 * who get one together. They then take each step one after another, which is twice as fast as each by itself, since code
 * and data are still in the processor's caches; and between the rounds others have their turn.
 */
export function createRounds(places: number): Semaphore {
  let free = places
  let isDue = false
  const waiting: (() => void)[] = []

  function begin(): void {
    isDue = false
    const some = waiting.splice(0, free)
    free -= some.length
    for (const start of some) start()
  }

  return {
    async run(task) {
      if (free > 0 && waiting.length === 0) free--
      else await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        return await task()
      } finally {
        free++
        if (waiting.length > 0 && !isDue) {
          isDue = true
          setImmediate(begin)
        }
      }
    },
    isAwaited: () => waiting.length > 0,
  }
}
