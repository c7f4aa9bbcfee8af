import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, describe, test } from 'node:test'
import { type Backend, postgresBackend, sqliteBackend } from '../../src/storage/dialect.ts'
import { openStore, type Store } from '../../src/storage/store.ts'
import { findPostgres, type PostgresServer } from './postgres-server.ts'
import { quiet } from './quiet.ts'
import { type WatchedBackend, watchedBackend } from './watched-backend.ts'

/** One of the two kinds of database, for the tests of one suite. */
export type TestDatabase = {
  name: Backend['name']
  /** A store on a new, empty database. Before the next test begins, it is closed and the database dropped. */
  open(): Promise<Store>
  /** A new, empty database that can be opened more than once. Dropped as those of `open`. */
  create(): Promise<ReopenableDatabase>
  /** Calls to databases of this suite that have not ended. */
  inHand(): number
  /** Waits until there are none and the event loop is quiet: what the fake clock takes as `settle`. */
  settle(): Promise<void>
}

/** Several stores may be open at the same time on PostgreSQL, as in several processes; on SQLite one after another. */
export type ReopenableDatabase = {
  /** What a homeserver is given; whoever opens a store with it closes or kills it. */
  backend(): Promise<WatchedBackend>
  /** Closed before the next test begins, unless closed before. */
  open(): Promise<Store>
}

/** Makes new databases of one kind. */
type Maker = { name: Backend['name']; make(): Promise<Place> }
type Place = { backend(): Promise<Backend>; drop(): Promise<void> }

/**
 * Runs the same tests on SQLite and on PostgreSQL, as two suites. `body` adds the tests of one.
 * Where no PostgreSQL can be had, its suite is one skipped test, and the reason is said aloud.
 */
export function forEachDatabase(body: (database: TestDatabase) => void): void {
  onSqlite(body)
  onPostgres(body)
}

/** The same on PostgreSQL alone. */
export function onPostgres(body: (database: TestDatabase) => void): void {
  describe('on PostgreSQL', async () => {
    const server = await postgres()
    if ('missing' in server) test('needs PostgreSQL', { skip: server.missing }, () => {})
    else body(createTestDatabase(databasesOn(server)))
  })
}

/** The same on SQLite alone, for behaviour that no database has a part in. */
export function onSqlite(body: (database: TestDatabase) => void): void {
  describe('on SQLite', () => body(createTestDatabase(sqliteFiles)))
}

let found: ReturnType<typeof findPostgres> | undefined

/** One server for the whole process. */
function postgres(): ReturnType<typeof findPostgres> {
  found ??= findPostgres()
  return found
}

// Given up behind the last test of the file. Not when the process has nothing left to do: it has that now and then between tests.
after(async () => {
  const server = await found
  if (server && !('missing' in server)) await server.stop()
})

function databasesOn(server: PostgresServer): Maker {
  return {
    name: 'postgres',
    async make() {
      const url = await server.take()
      return { backend: () => postgresBackend(url), drop: () => server.giveBack(url) }
    },
  }
}

const sqliteFiles: Maker = {
  name: 'sqlite',
  async make() {
    const folder = mkdtempSync(join(tmpdir(), 'evergreen-test-'))
    return {
      backend: async () => sqliteBackend(join(folder, 'test.db')),
      drop: async () => rmSync(folder, { recursive: true, force: true }),
    }
  },
}

/** To be called while a suite is built: it adds the hooks that clean up. */
function createTestDatabase({ name, make }: Maker): TestDatabase {
  const inHand = { count: 0 }
  const cleanups: (() => Promise<void>)[] = []

  async function open(backend: Backend): Promise<Store> {
    const store = await openStore(watchedBackend(backend, inHand))
    const close = once(store.close)
    cleanups.push(close)
    return Object.defineProperty(store, 'close', { value: close })
  }

  async function create(): Promise<ReopenableDatabase> {
    const place = await make()
    cleanups.push(place.drop)
    return {
      backend: async () => watchedBackend(await place.backend(), inHand),
      open: async () => open(await place.backend()),
    }
  }

  // Not right after a test: its own `t.after` hooks, which may still need the store, run later than `afterEach`.
  async function cleanUp(): Promise<void> {
    for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) await cleanup()
  }
  // The hooks run for the parts of a test (`t.test`) as well, which share its database.
  let running = 0
  beforeEach(async () => {
    if (running++ === 0) await cleanUp()
  })
  afterEach(() => {
    running--
  })
  after(cleanUp)

  return {
    name,
    open: async () => (name === 'sqlite' ? open(sqliteBackend(':memory:')) : (await create()).open()),
    create,
    inHand: () => inHand.count,
    settle: () => quiet(() => inHand.count),
  }
}

function once(close: () => Promise<void>): () => Promise<void> {
  let closed: Promise<void> | undefined
  return () => {
    closed ??= close()
    return closed
  }
}
