import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type LimitNode,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'

/** How many prepared statements are kept; the server has fewer distinct ones than this. */
const STATEMENTS = 500
/** How many of those who wait for the connection are taken off the queue at a time. */
const SERVED_AT_ONCE = 1_000

/** Kysely on `node:sqlite`: one connection, statements prepared once. @param path a file, or `:memory:` */
export function sqliteDialect(path: string): Dialect {
  const driver = new SqliteDriver(path)
  return {
    createAdapter: () => new QueueingAdapter((query, isInside) => driver.runAtOnce(query, isInside)),
    createDriver: () => driver,
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new QueryCompiler(),
  }
}

/**
 * Says that connections need not be taken one after another, since the driver sees to that itself, in order. Kysely's own
 * lock wakes everybody who waits whenever it is released: a thousand who wait would cost a million wake-ups.
 */
export class QueueingAdapter extends SqliteAdapter {
  /**
   * Runs a statement without Kysely's layers, which take several times as long as most statements do. `undefined` where
   * somebody stands between Kysely and the driver.
   * @param isInside whether the statement is part of the transaction that runs
   */
  runAtOnce: ((query: CompiledQuery, isInside: boolean) => Promise<QueryResult<unknown>>) | undefined

  constructor(runAtOnce: QueueingAdapter['runAtOnce']) {
    super()
    this.runAtOnce = runAtOnce
  }

  override get supportsMultipleConnections(): boolean {
    return true
  }
}

/**
 * SQLite's planner looks at the value of `limit ?`, and plans the statement anew for every execution: that takes many times as
 * long as running most of ours. What is computed it does not look at.
 */
class QueryCompiler extends SqliteQueryCompiler {
  protected override visitLimit(node: LimitNode): void {
    super.visitLimit(node)
    this.append(' + 0')
  }
}

class SqliteDriver implements Driver {
  readonly #path: string
  #database: DatabaseSync | undefined
  #connection: SqliteConnection | undefined
  readonly #waiting: (() => void)[] = []
  /** How many of those have had their turn. */
  #served = 0
  #busy = false

  constructor(path: string) {
    this.#path = path
  }

  async init(): Promise<void> {
    this.#database = new DatabaseSync(this.#path)
    // The log of writes is copied into the database file once it has so many pages (16 MB). That waits for the disk, and cost as much as
    // all commits together with SQLite's own 4 MB.
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA foreign_keys = ON;
      PRAGMA busy_timeout = 5000;
      PRAGMA cache_size = -8000;
      PRAGMA wal_autocheckpoint = 4000;
    `)
    this.#connection = new SqliteConnection(this.#database)
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#busy) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#busy = true
    return this.#connection!
  }

  async releaseConnection(): Promise<void> {
    // Taking each off the front would cost the more, the more wait.
    if (this.#served === SERVED_AT_ONCE) {
      this.#waiting.splice(0, this.#served)
      this.#served = 0
    }
    const next = this.#waiting[this.#served]
    if (!next) {
      this.#busy = false
      return
    }
    this.#served++
    next()
  }

  /**
   * A statement outside of transactions waits its turn while a transaction runs; when nobody has the connection, nobody can
   * take it before the statement has ended, since that happens before this returns.
   */
  async runAtOnce(query: CompiledQuery, isInside: boolean): Promise<QueryResult<unknown>> {
    if (isInside || (!this.#busy && this.#connection)) return this.#connection!.executeQuery(query)
    const connection = await this.acquireConnection()
    try {
      return await connection.executeQuery(query)
    } finally {
      await this.releaseConnection()
    }
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(BEGIN)
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(COMMIT)
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(ROLLBACK)
  }

  async destroy(): Promise<void> {
    this.#database?.close()
  }
}

const BEGIN = CompiledQuery.raw('BEGIN IMMEDIATE')
const COMMIT = CompiledQuery.raw('COMMIT')
const ROLLBACK = CompiledQuery.raw('ROLLBACK')

/** A prepared statement, and whether it gives rows: asking it each time would cost as much as running it. */
type Prepared = { statement: StatementSync; givesRows: boolean }

class SqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync
  readonly #prepared = new Map<string, Prepared>()

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { statement, givesRows } = this.#prepare(query.sql)
    const parameters = query.parameters as SQLInputValue[]
    if (givesRows) return { rows: statement.all(...parameters) as R[] }
    const { changes, lastInsertRowid } = statement.run(...parameters)
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }

  // biome-ignore lint/correctness/useYield: Kysely asks for it; nothing here streams.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('this database does not stream')
  }

  #prepare(sql: string): Prepared {
    const known = this.#prepared.get(sql)
    if (known) return known
    const statement = this.#database.prepare(sql)
    const prepared = { statement, givesRows: statement.columns().length > 0 }
    // The oldest goes: lists of varying length make statements that come once.
    if (this.#prepared.size >= STATEMENTS) this.#prepared.delete(this.#prepared.keys().next().value!)
    this.#prepared.set(sql, prepared)
    return prepared
  }
}
