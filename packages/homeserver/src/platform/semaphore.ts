/** A bounded number of permits, given out in the order of asking. */
export type Semaphore = {
  /** Waits for a permit, runs `task`, gives the permit back. */
  run<T>(task: () => Promise<T>): Promise<T>
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
  }
}
