/** Long work on the one thread: called between its steps, lets others have their turn when it is time. */
export type Breathe = () => Promise<void>

/** @param everyMs how long the thread may be held without a break, in milliseconds */
export function createBreathe(everyMs = 10): Breathe {
  let since = performance.now()
  return async () => {
    if (performance.now() - since < everyMs) return
    await new Promise<void>((resolve) => setImmediate(resolve))
    since = performance.now()
  }
}
