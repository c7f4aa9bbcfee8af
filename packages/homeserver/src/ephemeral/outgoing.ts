import type { Edu } from '../matrix/federation.ts'
import type { ServerName } from '../matrix/ids.ts'
import { dropOldest } from '../storage/bounded-queues.ts'
import * as storage from '../storage/outgoing-edus.ts'
import type { Tx } from '../storage/store.ts'
import { mergeEdus, type QueuedEdu } from './merge-edus.ts'
import type { EphemeralParts } from './ports.ts'

/** What other servers are still to be told. */
export type Outgoing = {
  /** Queues something for these destinations, in the place of what it makes obsolete. */
  queue(tx: Tx, destinations: readonly ServerName[], edu: QueuedEdu): Promise<void>
  /** Forgets what is too old to be told. @param now epoch ms */
  cleanUp(now: number): Promise<void>
  /** For the sender of federation transactions. */
  source: {
    destinations(): Promise<ServerName[]>
    take(destination: ServerName, limit: number): Promise<{ id: string; edus: Edu[]; delivered(tx: Tx): Promise<void> }>
  }
}

/** The most that may wait for one destination; beyond it the oldest go. */
const QUEUE_LIMIT = 2_000
/** The most that is looked at for one transaction. */
const TAKEN_AT_ONCE = 200
/** Typing and presence are worth nothing later than this (ms). */
const STALE_MS = 60_000
const WORTH_NOTHING_LATE = ['typing', 'presence'] as const

export function createOutgoing({ store, clock, log, wakeSender }: EphemeralParts): Outgoing {
  return {
    async queue(tx, destinations, edu) {
      if (destinations.length === 0) return
      await storage.queueEdu(tx.db, destinations, {
        key: keyOf(edu),
        kind: edu.kind,
        content: JSON.stringify(edu),
        position: await tx.position(),
        createdAt: clock.now(),
      })
      for (const destination of await storage.overfullEduQueues(tx.db, destinations, QUEUE_LIMIT)) {
        const dropped = await dropOldest(tx.db, 'outgoing_edus', destination, QUEUE_LIMIT)
        log.debug({ destination, dropped }, 'too many EDUs wait for a server; the oldest were dropped')
      }
      tx.afterCommit(() => wakeSender(destinations))
    },

    cleanUp: (now) => storage.removeStaleEdus(store.db, WORTH_NOTHING_LATE, now - STALE_MS),

    source: {
      destinations: () => storage.queuedEduDestinations(store.db),
      async take(destination, limit) {
        const now = clock.now()
        await storage.removeStaleEdus(store.db, WORTH_NOTHING_LATE, now - STALE_MS, destination)
        const rows = await storage.queuedEdus(store.db, destination, TAKEN_AT_ONCE)
        const { edus, taken } = mergeEdus(
          rows.map((row): QueuedEdu => JSON.parse(row.content)),
          now,
          limit,
        )
        const sent = rows.slice(0, taken)
        // What is queued in their place after this has a higher position than any of them.
        const position = Math.max(0, ...sent.map((row) => row.position))
        return {
          id: sent.map((row) => `${row.id}.${row.position}`).join(),
          edus,
          delivered: (tx) =>
            storage.removeQueuedEdus(
              tx.db,
              sent.map((row) => row.id),
              position,
            ),
        }
      },
    },
  }
}

function keyOf(edu: QueuedEdu): string {
  if (edu.kind === 'presence') return JSON.stringify(['presence', edu.userId])
  if (edu.kind === 'typing') return JSON.stringify(['typing', edu.roomId, edu.userId])
  return JSON.stringify(['receipt', edu.roomId, edu.userId, edu.threadId])
}
