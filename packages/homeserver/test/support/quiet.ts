import { setImmediate as nextTurn } from 'node:timers/promises'

/** In so many turns of the event loop without work in hand, whatever can go on has gone on. */
const QUIET_TURNS = 5
/** Work in hand that has not ended after this long (real ms) waits for something that will not come. */
const STUCK_MS = 30_000

/**
 * Waits until the event loop has gone quiet: promise work is done, and nothing is in hand for some turns.
 * @param inHand how many things are under way that end by themselves, such as queries to a real database; what waits
 * for the fake clock is none of them
 * @throws if something stays in hand, such as a transaction that waits for the fake clock
 */
export async function quiet(inHand: () => number = () => 0): Promise<void> {
  const stuckAt = performance.now() + STUCK_MS
  for (let turns = 0; turns < QUIET_TURNS; turns++) {
    await nextTurn()
    if (inHand() === 0) continue
    turns = -1
    if (performance.now() > stuckAt) throw new Error(`never quiet: ${inHand()} operations do not end`)
  }
}
