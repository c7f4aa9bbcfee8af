import { MatrixError } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import type { Clock } from '../platform/clock.ts'
import { createInFlight } from '../platform/in-flight.ts'
import type { Logger } from '../platform/logger.ts'
import { isDatabaseFailure } from '../storage/database-failures.ts'
import { forgetTransactions, receivedResponse, saveResponse } from '../storage/received-transactions.ts'
import type { Store, Tx } from '../storage/store.ts'

/** What else is written in a database transaction. */
type Note = (tx: Tx) => Promise<void>

/**
 * Takes all EDUs of one type that a transaction has, in order. What it must not lose is durable when it returns.
 * @param note may be called, once, in the database transaction with which the handler is done: it notes the answer there
 */
export type EduHandler = (origin: ServerName, contents: readonly unknown[], note?: Note) => Promise<void>

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

  /** @param failures takes what our database failed with: then the contents are not done with */
  async function handle(
    origin: ServerName,
    type: string,
    contents: readonly unknown[],
    failures: unknown[],
    note?: Note,
  ): Promise<void> {
    try {
      await handlers.get(type)!(origin, contents, note)
    } catch (error) {
      if (isDatabaseFailure(error)) return void failures.push(error)
      if (error instanceof MatrixError) log.debug({ origin, type, detail: error.message }, 'an EDU was refused')
      else log.error({ err: error, origin, type }, 'an EDU could not be handled')
      // One of them may be to blame: then the others are taken by themselves.
      if (contents.length > 1) for (const content of contents) await handle(origin, type, [content], failures)
    }
  }

  async function process({ origin, txnId, pdus = [], edus }: Transaction): Promise<string> {
    const before = await receivedResponse(store.db, origin, txnId)
    if (before !== undefined) return before
    if (pdus.length === 0) return processEdus(origin, txnId, edus)
    const [results] = await Promise.all([takePdus(origin, pdus), takeEdus(origin, edus)])
    const response = JSON.stringify({ pdus: results })
    await saveResponse(store.db, { origin, txnId, response, now: clock.now() })
    return response
  }

  /** Without PDUs the answer is known beforehand, and most often written with what the EDUs write: a commit costs more than the rest. */
  async function processEdus(origin: ServerName, txnId: string, edus: readonly unknown[]): Promise<string> {
    const response = '{"pdus":{}}'
    let noted = false
    await takeEdus(origin, edus, async (tx) => {
      await saveResponse(tx.db, { origin, txnId, response, now: clock.now() })
      tx.afterCommit(() => {
        noted = true
      })
    })
    if (!noted) await saveResponse(store.db, { origin, txnId, response, now: clock.now() })
    return response
  }

  /** @param note goes to the handler of the EDUs if all are of one type: with several, it would be too early for some */
  async function takeEdus(origin: ServerName, edus: readonly unknown[], note?: Note): Promise<void> {
    const byType = new Map<string, unknown[]>()
    for (const edu of edus) {
      if (!isObject(edu) || typeof edu.edu_type !== 'string' || !handlers.has(edu.edu_type)) continue
      const contents = byType.get(edu.edu_type)
      if (contents) contents.push(edu.content)
      else byType.set(edu.edu_type, [edu.content])
    }
    const failures: unknown[] = []
    const along = byType.size === 1 ? note : undefined
    for (const [type, contents] of byType) await handle(origin, type, contents, failures, along)
    if (failures.length > 0) throw failures[0]
  }

  return {
    receive: (transaction) => underWay.share(`${transaction.origin} ${transaction.txnId}`, () => process(transaction)),
    cleanUp: (now) => forgetTransactions(store.db, now - REMEMBERED_MS),
  }
}
