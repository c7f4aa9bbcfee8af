import type { ServerName } from '../matrix/ids.ts'
import type { Cancel, Clock } from '../platform/clock.ts'
import { claimDestination, releaseDestination } from '../storage/sender-leases.ts'
import type { Store } from '../storage/store.ts'

/** Which of several processes of this server sends to a destination. */
export type SenderLeases = {
  /** Takes a destination, or prolongs it, and has it until `task` ends at least. @returns `elsewhere` if another process has it */
  hold<T>(destination: ServerName, task: () => Promise<T>): Promise<T | 'elsewhere'>
  giveBack(destination: ServerName): Promise<void>
}

/** For so long at most nobody sends to the destination of a process that has died (ms). */
const LEASE_MS = 15_000
/** A lease is prolonged this often while it is needed (ms). */
const PROLONG_EVERY_MS = 5_000

/** @param holder names this process. On SQLite there is no other one. */
export function createSenderLeases(store: Store, clock: Clock, holder: string): SenderLeases {
  if (store.dialect === 'sqlite') return { hold: (_, task) => task(), giveBack: async () => {} }
  const held = new Set<ServerName>()

  function take(destination: ServerName): Promise<boolean> {
    const now = clock.now()
    return claimDestination(store.db, { destination, holder, until: now + LEASE_MS }, now)
  }

  /** Prolongs a lease again and again. What fails is tried again: the lease lasts for longer than two of these. */
  function prolong(destination: ServerName): { end(): Promise<void> } {
    let ended = false
    let running: Promise<unknown> | undefined
    let cancel: Cancel = () => {}
    const next = () => {
      if (ended) return
      cancel = clock.after(PROLONG_EVERY_MS, () => {
        running = take(destination).then(next, next)
      })
    }
    next()
    return {
      async end() {
        ended = true
        cancel()
        await running
      },
    }
  }

  return {
    async hold(destination, task) {
      if (!(await take(destination))) return 'elsewhere'
      held.add(destination)
      const prolonging = prolong(destination)
      try {
        return await task()
      } finally {
        await prolonging.end()
      }
    },
    async giveBack(destination) {
      if (held.delete(destination)) await releaseDestination(store.db, destination, holder)
    },
  }
}
