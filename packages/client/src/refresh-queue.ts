import type { Budget } from './budget.ts'
import type { RefreshOccasion } from './occasions.ts'
import type { RefreshOutcome } from './outcome.ts'
import { sleep } from './patience.ts'

/** Requests for device lists that wait for their turn: one per user, a few at a time, within the budget. */
export type RefreshQueue = {
  add(userId: string, occasion: RefreshOccasion): void
  /** Resolves when the user's list was asked for, now or by a request under way, or when the time is over. */
  addAndWait(userId: string, occasion: RefreshOccasion, timeoutMs: number): Promise<void>
  stop(): void
}

type Options = {
  /** Asks for one list. */
  refresh: (userId: string, signal: AbortSignal) => Promise<RefreshOutcome>
  budget: Budget
  onRefresh: (refresh: { userId: string; occasion: RefreshOccasion; outcome: RefreshOutcome }) => void
  onError: (error: unknown) => void
}

type Entry = { userId: string; occasion: RefreshOccasion; done: () => void; ended: Promise<void> }

const MAX_WAITING = 1_000
const MAX_RUNNING = 4
/** For how long nothing is asked after a refusal that does not say (ms). */
const DEFAULT_PAUSE_MS = 30_000

export function createRefreshQueue({ refresh, budget, onRefresh, onError }: Options): RefreshQueue {
  const waiting = new Map<string, Entry>()
  const running = new Map<string, Entry>()
  const stopped = new AbortController()
  let notBefore = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  function add(userId: string, occasion: RefreshOccasion): Entry | undefined {
    const present = waiting.get(userId)
    if (present || stopped.signal.aborted || waiting.size >= MAX_WAITING) return present
    const { promise: ended, resolve: done } = Promise.withResolvers<void>()
    const entry = { userId, occasion, done, ended }
    waiting.set(userId, entry)
    pump()
    return entry
  }

  /** Starts whatever may start, and comes back when the next one may. */
  function pump(): void {
    clearTimeout(timer)
    if (stopped.signal.aborted) return
    let next = Number.POSITIVE_INFINITY
    for (const entry of waiting.values()) {
      if (running.size >= MAX_RUNNING) return
      if (running.has(entry.userId)) continue
      const now = Date.now()
      const waitMs = Math.max(notBefore - now, budget.waitMs(entry.userId, now))
      if (waitMs > 0) next = Math.min(next, waitMs)
      else void run(entry)
    }
    if (next < Number.POSITIVE_INFINITY) timer = setTimeout(pump, next)
  }

  async function run(entry: Entry): Promise<void> {
    const { userId, occasion } = entry
    waiting.delete(userId)
    running.set(userId, entry)
    budget.spend(userId, Date.now())
    try {
      const outcome = await refresh(userId, stopped.signal)
      if (outcome.outcome === 'failed' && outcome.reason === 'limited') postpone(entry, outcome.retryAfterMs)
      else entry.done()
      onRefresh({ userId, occasion, outcome })
    } catch (error) {
      entry.done()
      if (!stopped.signal.aborted) onError(error)
    } finally {
      running.delete(userId)
      pump()
    }
  }

  /** Somebody else, such as another device of the account, has used up what the homeserver allows. */
  function postpone(entry: Entry, retryAfterMs: number | null): void {
    notBefore = Date.now() + (retryAfterMs ?? DEFAULT_PAUSE_MS)
    if (waiting.has(entry.userId)) entry.done()
    else waiting.set(entry.userId, entry)
  }

  return {
    add: (userId, occasion) => void add(userId, occasion),
    async addAndWait(userId, occasion, waitMs) {
      const entry = running.get(userId) ?? add(userId, occasion)
      const over = new AbortController()
      const patience = sleep(waitMs, AbortSignal.any([over.signal, stopped.signal])).catch(() => {})
      await Promise.race([entry?.ended, patience])
      over.abort()
    },
    stop() {
      stopped.abort()
      clearTimeout(timer)
      for (const { done } of waiting.values()) done()
      waiting.clear()
    },
  }
}
