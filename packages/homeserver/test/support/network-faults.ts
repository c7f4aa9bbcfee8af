import { type Clock, sleep } from '../../src/platform/clock.ts'
import { NetworkError } from '../../src/platform/network.ts'
import type { Random } from '../../src/platform/random.ts'

/** Always, never, or with that chance (0 to 1) for each request. */
export type Chance = boolean | number

/** What goes wrong on the way from one server to another. */
export type Faults = {
  /** The connection is refused. */
  drop?: Chance
  /** The request is on its way until `release`, or until its time is over. */
  hang?: Chance
  /** The request arrives so much later (ms); of a range, each at a time of its own, which reorders them. */
  delayMs?: number | readonly [from: number, to: number]
  /** The request arrives twice, once more after it was answered. */
  duplicate?: Chance
  /** How much later it arrives again (ms). */
  duplicateDelayMs?: number | readonly [from: number, to: number]
  /** The answer is on its way for so long (ms): it tells what was true before that. */
  answerDelayMs?: number | readonly [from: number, to: number]
  /** The request arrives and is answered, but the connection breaks before the answer is there. */
  loseAnswer?: Chance
}

/** What happens to one request. */
export type Fate = {
  /** Resolves when the request arrives. @throws {NetworkError} if it never does */
  arrival(signal: AbortSignal): Promise<void>
  again: boolean
  againAfterMs: number
  answerLost: boolean
  answerDelayMs: number
}

export type FaultTable = {
  set(from: string, to: string, faults: Faults): void
  fateOf(from: string, to: string): Fate
  release(): void
  clear(): void
}

/** Faults by (from, to); `*` stands for any server, and the more exact entry counts for each kind of fault. */
export function createFaultTable(clock: Clock, random: Random): FaultTable {
  const table = new Map<string, Faults>()
  let held: (() => void)[] = []
  const happens = (chance: Chance = false) => (typeof chance === 'number' ? random.fraction() < chance : chance)

  function delayOf(delayMs: number | readonly [from: number, to: number] | undefined): number {
    if (delayMs === undefined || typeof delayMs === 'number') return delayMs ?? 0
    const [from, to] = delayMs
    return Math.round(from + (to - from) * random.fraction())
  }

  function released(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      held.push(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  function release(): void {
    const waiting = held
    held = []
    for (const letGo of waiting) letGo()
  }

  return {
    set: (from, to, faults) => void table.set(`${from} ${to}`, faults),
    fateOf(from, to) {
      const keys = ['* *', `* ${to}`, `${from} *`, `${from} ${to}`]
      const faults: Faults = Object.assign({}, ...keys.map((key) => table.get(key)))
      const [drop, hang] = [happens(faults.drop), happens(faults.hang)]
      const [again, answerLost] = [happens(faults.duplicate), happens(faults.loseAnswer)]
      const delayMs = delayOf(faults.delayMs)
      return {
        again,
        againAfterMs: again ? delayOf(faults.duplicateDelayMs) : 0,
        answerLost,
        answerDelayMs: delayOf(faults.answerDelayMs),
        async arrival(signal) {
          if (drop) throw new NetworkError('connection', 'refused')
          if (hang) await released(signal)
          if (delayMs > 0) await sleep(clock, delayMs, signal)
        },
      }
    },
    release,
    clear() {
      table.clear()
      release()
    },
  }
}
