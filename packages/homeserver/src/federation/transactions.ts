import { MatrixError } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import type { Clock } from '../platform/clock.ts'
import { createInFlight } from '../platform/in-flight.ts'
import type { Logger } from '../platform/logger.ts'
import { isDatabaseFailure } from '../storage/database-failures.ts'
import { forgetTransactions, receivedResponse, saveResponse } from '../storage/received-transactions.ts'
import type { Store } from '../storage/store.ts'

/**
 * Takes all EDUs of one type that a transaction has, in order. What it must not lose is durable when it returns. The same again does
 * no harm.
 */
export type EduHandler = (origin: ServerName, contents: readonly unknown[]) => Promise<void>

/** Takes all PDUs of a transaction. @returns by event ID what became of each */
type PduHandler = (origin: ServerName, pdus: readonly unknown[]) => Promise<object>

/** What a transaction carries, its shape checked at the edge but for the PDUs and EDUs themselves. */
type Transaction = { origin: ServerName; txnId: string; pdus?: readonly unknown[]; edus: readonly unknown[] }

export type Transactions = {
  /**
   * Takes a transaction, once: the same one again gets the same answer. PDUs and EDUs are isolated, so that a bad one
   * fails neither the transaction nor its neighbours, and EDUs do not wait for what PDUs need. Server-server API, "Transactions".
   * @returns the answer as JSON text
   * @throws if the database failed: nothing is remembered then, and the sender will send the same again
   */
  receive(transaction: Transaction): Promise<string>
  /** Forgets what was answered long ago. @param now epoch ms */
  cleanUp(now: number): Promise<void>
}

/** A transaction is tried again for a while, and not after that (ms). */
const REMEMBERED_MS = 24 * 3_600_000
/** So many transactions of nothing but EDUs are remembered. */
const REMEMBERED = 10_000
/** The answer to a transaction without PDUs. */
const NOTHING_TO_SAY = '{"pdus":{}}'

/** @param handlers by EDU type; a type without one is ignored */
export function createTransactions(parts: {
  store: Store
  clock: Clock
  log: Logger
  pdus: PduHandler
  handlers: ReadonlyMap<string, EduHandler>
}): Transactions {
  const { store, clock, log, pdus: takePdus, handlers } = parts
  // The same transaction at two processes is taken in twice at worst: events, messages and updates are each known by an ID of their own.
  const underWay = createInFlight<string>()
  // Of this process, and not in the database: what has no PDUs gets the same answer in any case, and to write down each would cost
  // as much as what it brings.
  const taken = createBoundedCache<string, true>(REMEMBERED)

  /** @param failures takes what our database failed with: then the contents are not done with */
  async function handle(
    origin: ServerName,
    type: string,
    contents: readonly unknown[],
    failures: unknown[],
  ): Promise<void> {
    try {
      await handlers.get(type)!(origin, contents)
    } catch (error) {
      if (isDatabaseFailure(error)) return void failures.push(error)
      if (error instanceof MatrixError) log.debug({ origin, type, detail: error.message }, 'an EDU was refused')
      else log.error({ err: error, origin, type }, 'an EDU could not be handled')
      // One of them may be to blame: then the others are taken by themselves.
      if (contents.length > 1) for (const content of contents) await handle(origin, type, [content], failures)
    }
  }

  async function process({ origin, txnId, pdus = [], edus }: Transaction): Promise<string> {
    if (pdus.length === 0) return processEdus(origin, txnId, edus)
    const before = await receivedResponse(store.db, origin, txnId)
    if (before !== undefined) return before
    const [results] = await Promise.all([takePdus(origin, pdus), takeEdus(origin, edus)])
    const response = JSON.stringify({ pdus: results })
    await saveResponse(store.db, { origin, txnId, response, now: clock.now() })
    return response
  }

  async function processEdus(origin: ServerName, txnId: string, edus: readonly unknown[]): Promise<string> {
    const key = `${origin} ${txnId}`
    if (!taken.has(key)) await takeEdus(origin, edus)
    taken.set(key, true)
    return NOTHING_TO_SAY
  }

  async function takeEdus(origin: ServerName, edus: readonly unknown[]): Promise<void> {
    const byType = new Map<string, unknown[]>()
    for (const edu of edus) {
      if (!isObject(edu) || typeof edu.edu_type !== 'string' || !handlers.has(edu.edu_type)) continue
      const contents = byType.get(edu.edu_type)
      if (contents) contents.push(edu.content)
      else byType.set(edu.edu_type, [edu.content])
    }
    const failures: unknown[] = []
    for (const [type, contents] of byType) await handle(origin, type, contents, failures)
    if (failures.length > 0) throw failures[0]
  }

  return {
    receive: (transaction) => underWay.share(`${transaction.origin} ${transaction.txnId}`, () => process(transaction)),
    cleanUp: (now) => forgetTransactions(store.db, now - REMEMBERED_MS),
  }
}
