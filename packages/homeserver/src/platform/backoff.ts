/** How long to wait before trying again: exponential from `baseMs`, never longer than `capMs`, jittered. */
export type Backoff = { baseMs: number; capMs: number }

/**
 * The delay before the next attempt, in milliseconds.
 * @param attempts failed attempts so far, at least 1
 * @param fraction a random number in [0, 1): the delay lies between 75 % and 100 % of the exponential one; 1 gives all of it
 */
export function backoffDelay({ baseMs, capMs }: Backoff, attempts: number, fraction: number): number {
  const exponential = Math.min(capMs, baseMs * 2 ** Math.min(attempts - 1, 30))
  return Math.round(exponential * (0.75 + 0.25 * fraction))
}
