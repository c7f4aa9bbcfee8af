import { AsyncLocalStorage } from 'node:async_hooks'
import { Kysely } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Backend } from './dialect.ts'
import { migrate } from './migrations/migrate.ts'
import { createNotifier, type Notifier } from './notifier.ts'
import { prepared } from './prepared.ts'
import type { Tables } from './tables.ts'
import { hearProcesses, tellProcesses } from './wake-channel.ts'

/** A handle to run statements with: the database outside of a transaction, or the transaction. */
export type Db = Kysely<Tables>

/** A running transaction. Statements go through `db`; the network is never awaited inside. */
export type Tx = {
  db: Db
  /**
   * The transaction's place in the one stream that `/sync` reads. Taken at the first call, the same for the rest of
   * the transaction. Transactions get their places in the order in which they commit, so whoever has seen a
   * position has seen everything up to it. Ask late: other writers wait from here to the commit.
   */
  position(): Promise<number>
  /** A further place, after all that this transaction has taken: for rows that have an order among themselves. */
  nextPosition(): Promise<number>
  /** Runs `callback` once the transaction has committed, and never if it does not. */
  afterCommit(callback: () => void): void
  /** Wakes whatever waits for one of these keys (user IDs) after the commit. */
  wake(keys: Iterable<string>): void
}

/** The database: one per server, shared by all features. */
export type Store = {
  db: Db
  dialect: Backend['name']
  notifier: Notifier
  /** How often a worker looks for what another process has left undone (ms); `undefined` where there can be no other one. */
  lookEveryMs(): number | undefined
  /**
   * Runs `body` in a transaction: all of it happens, or nothing. What `body` throws is thrown again. PostgreSQL may break
   * a transaction off for the sake of another; then `body` runs again from its beginning, so it must leave nothing behind
   * but through `tx` and what it returns.
   */
  transaction<T>(body: (tx: Tx) => Promise<T>): Promise<T>
  /** The newest position that any transaction has committed. */
  position(): Promise<number>
  close(): Promise<void>
}

/** What other processes have left undone is looked for this often (ms): while they are heard of, and while they are not. */
const LOOK_EVERY_MS = 10_000
const LOOK_ALONE_MS = 60_000
/** Who has not been heard of for this long is not expected any more (ms). */
const HEARD_MS = 600_000
/** How often a transaction is tried that is broken off for the sake of another. */
const ATTEMPTS = 5
/** PostgreSQL's words for it: serialization failure, deadlock. */
const BROKEN_OFF = new Set<unknown>(['40001', '40P01'])

const readPosition = prepared<Record<never, never>, { position: number }>((db) =>
  db.selectFrom('stream_position').select('position'),
)
const nextPosition = prepared<Record<never, never>, { position: number }>((db) =>
  db
    .updateTable('stream_position')
    .set((eb) => ({ position: eb('position', '+', 1) }))
    .returning('position'),
)

/**
 * Opens a database and brings it to the newest schema.
 * @param process what this process is called; without it, it neither hears of other processes nor is heard
 * @throws if the database was written by a newer version
 */
export async function openStore(backend: Backend, process?: { clock: Clock; name: string }): Promise<Store> {
  const inside = new AsyncLocalStorage<true>()
  const database = new Kysely<Tables>({ dialect: backend.dialect })
  await migrate(database)
  const notifier = createNotifier()
  let heardAt = Number.NEGATIVE_INFINITY
  notifier.hearOthers((keys) => {
    if (keys && process) heardAt = process.clock.now()
  })
  const others =
    process &&
    backend.listening &&
    hearProcesses(backend.listening, { wake: notifier.wakeFromOthers, clock: process.clock, own: process.name })
  // Inside a transaction the outer handle would wait for the transaction to end, which waits for it: say so instead.
  const outside = (): Db => {
    if (inside.getStore()) throw new Error('the outer database handle was used inside a transaction; pass tx.db')
    return database
  }
  return {
    get db() {
      return outside()
    },
    dialect: backend.name,
    notifier,
    lookEveryMs() {
      if (!process || !others) return undefined
      return process.clock.now() - heardAt < HEARD_MS ? LOOK_EVERY_MS : LOOK_ALONE_MS
    },
    async transaction(body) {
      const { result, callbacks, woken } = await tryAgain(async () => {
        const callbacks: (() => void)[] = []
        const woken = new Set<string>()
        const result = await outside()
          .transaction()
          .execute((trx) =>
            inside.run(true, async () => {
              const result = await body(openTx(trx, callbacks, woken))
              if (others && woken.size > 0) await tellProcesses(trx, process.name, woken)
              return result
            }),
          )
        return { result, callbacks, woken }
      })
      for (const callback of callbacks) callback()
      if (woken.size > 0) notifier.wake(woken)
      return result
    },
    async position() {
      return (await readPosition(outside(), {})).rows[0]!.position
    },
    async close() {
      await others?.close()
      await database.destroy()
    },
  }
}

/** Runs `task` until it is not broken off for the sake of another transaction. */
async function tryAgain<T>(task: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await task()
    } catch (error) {
      if (attempt === ATTEMPTS || !BROKEN_OFF.has((error as { code?: unknown }).code)) throw error
    }
  }
}

/** On the handle of a running transaction: what to call once it has committed. */
const AFTER_COMMIT = Symbol('after commit')
type Handle = Db & { [AFTER_COMMIT]?: (() => void)[] }

/**
 * Calls `callback` once what was read with a handle is certain: after the commit of its transaction, and never if that is
 * undone; at once outside of a transaction. What a cache keeps of a transaction's reads goes through here.
 */
export function whenCertain(db: Db, callback: () => void): void {
  const callbacks = (db as Handle)[AFTER_COMMIT]
  if (callbacks) callbacks.push(callback)
  else callback()
}

function openTx(db: Db, callbacks: (() => void)[], woken: Set<string>): Tx {
  Object.defineProperty(db, AFTER_COMMIT, { value: callbacks })
  let position: Promise<number> | undefined
  const next = () => {
    position = nextPosition(db, {}).then(({ rows }) => rows[0]!.position)
    return position
  }
  return {
    db,
    position: () => position ?? next(),
    nextPosition: next,
    afterCommit: (callback) => callbacks.push(callback),
    wake(keys) {
      for (const key of keys) woken.add(key)
    },
  }
}
