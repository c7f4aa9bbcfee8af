import { type Dialect, type Kysely, SqliteAdapter } from 'kysely'
import { sqliteDialect } from './sqlite.ts'
import type { Listening } from './wake-channel.ts'

/** Everything that differs between the two databases. */
export type Backend = {
  name: 'sqlite' | 'postgres'
  dialect: Dialect
  /** How processes hear of each other, where there can be several. */
  listening?: Listening
}

/** @param path a file, or `:memory:` */
export function sqliteBackend(path: string): Backend {
  return { name: 'sqlite', dialect: sqliteDialect(path) }
}

/**
 * PostgreSQL. The driver is loaded here only, so that a server on SQLite does without it.
 * @param url `postgres://…`
 */
export async function postgresBackend(url: string): Promise<Backend> {
  const [{ PostgresDialect }, { default: pg }] = await Promise.all([import('kysely'), import('pg')])
  // int8 comes as text; our numbers (positions, epoch ms, counts) all lie within ±2^53.
  const types = new pg.TypeOverrides()
  types.setTypeParser(pg.types.builtins.INT8, Number)
  types.setTypeParser(pg.types.builtins.NUMERIC, Number)
  const pool = new pg.Pool({ connectionString: url, max: 10, types })
  // A connection that breaks while idle is replaced by the pool; without a listener it would end the process.
  pool.on('error', () => {})
  const listening: Listening = {
    async connect(channel, onPayload, onEnd) {
      const client = new pg.Client({ connectionString: url, keepAlive: true })
      client.on('notification', ({ payload }) => payload !== undefined && onPayload(payload))
      client.on('error', onEnd)
      client.on('end', onEnd)
      await client.connect()
      await client.query(`listen ${client.escapeIdentifier(channel)}`)
      return { close: () => client.end() }
    },
  }
  return { name: 'postgres', dialect: new PostgresDialect({ pool }), listening }
}

/** Whether a handle leads to PostgreSQL, where several writers run at the same time. */
export function isPostgres<T>(db: Kysely<T>): boolean {
  return !(db.getExecutor().adapter instanceof SqliteAdapter)
}
