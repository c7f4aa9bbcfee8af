import type { DatabaseConnection, Dialect, Driver } from 'kysely'
import type { Backend } from '../../src/storage/dialect.ts'
import { QueueingAdapter } from '../../src/storage/sqlite.ts'

/** How many calls to databases have not ended. */
export type InHand = { count: number }

/** A backend whose calls are counted, and which can end as that of a process that dies. */
export type WatchedBackend = Backend & {
  /** What is not committed is undone; calls that have not ended never do, nor do later ones. */
  kill(): Promise<void>
  /**
   * Dies at the call after so many more, before it is made or before its answer is seen; `onDeath` is called at that moment, and
   * has to `kill`.
   */
  dieAfter(calls: number, moment: 'before' | 'after', onDeath: () => void): void
  /**
   * Fails at the call after so many more, which is not made, as a database that is out of order for a moment.
   * @returns takes that back, and says whether it has come
   */
  failAfter(calls: number): () => boolean
  /** Does not count the calls that are made until the returned function is called. */
  spare(): () => void
}

export function watchedBackend({ name, dialect, listening }: Backend, inHand: InHand): WatchedBackend {
  const held = new Set<DatabaseConnection>()
  const heard = new Set<{ close(): Promise<void> }>()
  let driver: Driver | undefined
  let killed = false
  let spared = 0
  let fault: { calls: number } | undefined
  let trap: { calls: number; moment: 'before' | 'after'; onDeath: () => void } | undefined

  /** @returns whether the call that comes is the last one, after whose beginning nothing is seen any more */
  function isLastCall(): boolean {
    return trap !== undefined && spared === 0 && trap.calls-- <= 0
  }

  function die(): void {
    killed = true
    trap?.onDeath()
  }

  function watch<T>(call: () => T): T {
    const last = !killed && isLastCall()
    if (last && trap?.moment === 'before') die()
    if (killed) return new Promise(() => {}) as T
    const result = call()
    if (last) die()
    if (!(result instanceof Promise)) return result
    inHand.count++
    return new Promise((resolve, reject) => {
      const ended = (tell: (value: unknown) => void) => (value: unknown) => {
        inHand.count--
        if (!killed) tell(value)
      }
      result.then(ended(resolve), ended(reject))
    }) as T
  }

  /** The same for a call that can fail. */
  function ask<T>(call: () => Promise<T>): Promise<T> {
    return watch(() => {
      if (!fault || spared > 0 || fault.calls-- > 0) return call()
      fault = undefined
      return Promise.reject(failureOf(name))
    })
  }

  async function acquire(from: Driver): Promise<DatabaseConnection> {
    const connection = await from.acquireConnection()
    if (killed) await from.releaseConnection(connection)
    else held.add(connection)
    return connection
  }

  async function listen(channel: string, onPayload: (payload: string) => void, onEnd: () => void) {
    if (killed) return new Promise<never>(() => {})
    const connection = await listening!.connect(channel, (payload) => killed || onPayload(payload), onEnd)
    heard.add(connection)
    return connection
  }

  const watchedDialect: Dialect = {
    createAdapter() {
      const adapter = dialect.createAdapter()
      // No statement goes past the driver that is watched.
      if (adapter instanceof QueueingAdapter) adapter.runAtOnce = undefined
      return adapter
    },
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver() {
      const real = dialect.createDriver()
      driver = real
      const connections = new WeakMap<DatabaseConnection, DatabaseConnection>()
      const realOne = (connection: DatabaseConnection) => connections.get(connection) ?? connection
      return {
        init: () => watch(() => real.init()),
        async acquireConnection() {
          const connection = await watch(() => acquire(real))
          const watched = watchedConnection(connection, ask)
          connections.set(watched, connection)
          return watched
        },
        releaseConnection(connection) {
          return watch(() => {
            held.delete(realOne(connection))
            return real.releaseConnection(realOne(connection))
          })
        },
        beginTransaction: (connection, settings) => ask(() => real.beginTransaction(realOne(connection), settings)),
        commitTransaction: (connection) => ask(() => real.commitTransaction(realOne(connection))),
        rollbackTransaction: (connection) => watch(() => real.rollbackTransaction(realOne(connection))),
        destroy: () =>
          watch(() => {
            driver = undefined
            return real.destroy()
          }),
      }
    },
  }

  return {
    name,
    dialect: watchedDialect,
    ...(listening && { listening: { connect: listen } }),
    dieAfter(calls, moment, onDeath) {
      trap = { calls, moment, onDeath }
    },
    failAfter(calls) {
      const planned = { calls }
      fault = planned
      return () => {
        const hasFailed = fault !== planned
        if (!hasFailed) fault = undefined
        return hasFailed
      }
    },
    spare() {
      spared++
      return () => void spared--
    },
    async kill() {
      killed = true
      trap = undefined
      await Promise.all([...heard].map((connection) => connection.close()))
      for (const connection of held) {
        // Where no transaction is open there is nothing to undo.
        await driver?.rollbackTransaction(connection).catch(() => {})
        await driver?.releaseConnection(connection)
      }
      await driver?.destroy()
    },
  }
}

/** What the driver says where a disk is full, or an administrator has ended the connection. */
const failureOf = (name: Backend['name']) =>
  name === 'sqlite'
    ? Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR', errcode: 13 })
    : Object.assign(new Error('terminating connection due to administrator command'), { code: '57P01' })

type Ask = <T>(call: () => Promise<T>) => Promise<T>

function watchedConnection(connection: DatabaseConnection, ask: Ask): DatabaseConnection {
  return {
    executeQuery: (query) => ask(() => connection.executeQuery(query)),
    streamQuery: (query, chunkSize) => connection.streamQuery(query, chunkSize),
  }
}
