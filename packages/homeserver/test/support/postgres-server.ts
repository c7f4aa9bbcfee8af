import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { postgresBackend } from '../../src/storage/dialect.ts'
import { openStore } from '../../src/storage/store.ts'

/** Names a PostgreSQL to test against, as `postgres://…`; without it the tests start one of their own. */
const SERVER_VARIABLE = 'EVERGREEN_TEST_POSTGRES'
/** Set by global-setup.ts for the processes of the test files: the template database, or why there is none. */
const TEMPLATE_VARIABLE = 'EVERGREEN_TEST_POSTGRES_TEMPLATE'
const MISSING_VARIABLE = 'EVERGREEN_TEST_POSTGRES_MISSING'

/** What postgres-process.ts says once: where the server is, or why there is none. */
export type PostgresMessage = { url: string } | { error: string }

/** A PostgreSQL with a template database that has the newest schema. */
export type PostgresServer = {
  /** A database with the newest schema and nothing else in it. @returns its URL */
  take(): Promise<string>
  /** Empties a database that was taken, whoever is still connected: making a new one costs much more. */
  giveBack(url: string): Promise<void>
  /** What other processes need to use the same server, as environment variables. */
  environment: Record<string, string>
  /** Drops what was made here; ends the server if it was started here. Ending this process does the latter as well. */
  stop(): Promise<void>
}

/** Gives the template, and so its copies, a function that brings back the rows and numbers that it has now. */
const REMEMBER_CONTENTS = `
  create schema pristine;
  do $$ declare name text; begin
    for name in select tablename from pg_tables where schemaname = 'public' loop
      execute format('create table pristine.%I as table public.%I', name, name);
    end loop;
  end $$;
  create function pristine.restore() returns void language plpgsql as $$ declare name text; begin
    for name in select tablename from pg_tables where schemaname = 'public' loop
      execute format('delete from public.%I', name);
    end loop;
    for name in select tablename from pg_tables where schemaname = 'pristine' loop
      execute format('insert into public.%I select * from pristine.%I', name, name);
    end loop;
    for name in select sequencename from pg_sequences where schemaname = 'public' loop
      execute format('alter sequence public.%I restart', name);
    end loop;
  end $$`

const DISCONNECT_OTHERS = `
  select pg_terminate_backend(pid, 5000) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()`

/**
 * The PostgreSQL for this process: the one that global-setup.ts prepared, else the one that `EVERGREEN_TEST_POSTGRES`
 * names, else one that is started now.
 * @returns why there is none, where that cannot be helped on this machine
 * @throws where that is no excuse: the variable names a server, or this is a CI run
 */
export async function findPostgres(): Promise<PostgresServer | { missing: string }> {
  const { [SERVER_VARIABLE]: url, [TEMPLATE_VARIABLE]: template, [MISSING_VARIABLE]: missing, CI } = process.env
  if (missing) return { missing }
  if (url) return template ? serverWith(url, template, async () => {}) : prepare(url, async () => {})
  const started = await startServer()
  if ('url' in started) return prepare(started.url, started.stop)
  if (CI) throw new Error(`no PostgreSQL for the tests: ${started.error}`)
  const banner = '*'.repeat(100)
  console.error(`\n${banner}\n*** POSTGRESQL TESTS SKIPPED, none can be started here: ${started.error}\n${banner}\n`)
  return { missing: started.error }
}

/** The environment that makes `findPostgres` in other processes answer the same. */
export function environmentOf(found: PostgresServer | { missing: string }): Record<string, string> {
  return 'missing' in found ? { [MISSING_VARIABLE]: found.missing } : found.environment
}

/** The owner process ends by itself, with its server, when this process is gone: nothing here keeps the latter alive. */
async function startServer(): Promise<{ url: string; stop(): Promise<void> } | { error: string }> {
  const owner = fork(fileURLToPath(new URL('./postgres-process.ts', import.meta.url)), {
    // Of a process group of its own, so that Ctrl-C does not reach it.
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  })
  const exited = once(owner, 'exit')
  const [message] = await Promise.race([
    once(owner, 'message') as Promise<[PostgresMessage]>,
    exited.then(([code]) => [{ error: `its process ended with code ${code}` }] as const),
  ])
  owner.unref()
  owner.channel?.unref()
  const stop = async () => {
    owner.ref()
    if (owner.connected) owner.disconnect()
    if (owner.exitCode === null && owner.signalCode === null) await exited
  }
  if ('url' in message) return { url: message.url, stop }
  await stop()
  return message
}

async function prepare(url: string, stop: () => Promise<void>): Promise<PostgresServer> {
  const template = uniqueName('template')
  await run(url, `create database ${template}`)
  const store = await openStore(await postgresBackend(urlOf(url, template)))
  await store.close()
  await run(urlOf(url, template), REMEMBER_CONTENTS)
  return serverWith(url, template, async () => {
    await run(url, `drop database ${template} with (force)`)
    await stop()
  })
}

function serverWith(url: string, template: string, stop: () => Promise<void>): PostgresServer {
  const used = new Set<string>()
  const free: string[] = []
  const drop = (name: string) => run(url, `drop database if exists ${name} with (force)`)
  return {
    async take() {
      const name = free.pop() ?? uniqueName('test')
      if (!used.has(name)) await run(url, `create database ${name} template ${template}`)
      used.add(name)
      return urlOf(url, name)
    },
    async giveBack(database) {
      await run(database, DISCONNECT_OTHERS, 'select pristine.restore()')
      free.push(new URL(database).pathname.slice(1))
    },
    environment: { [SERVER_VARIABLE]: url, [TEMPLATE_VARIABLE]: template },
    async stop() {
      for (const name of used) await drop(name)
      await stop()
    },
  }
}

async function run(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

function urlOf(server: string, database: string): string {
  const url = new URL(server)
  url.pathname = `/${database}`
  return url.href
}

function uniqueName(kind: string): string {
  return `evergreen_${kind}_${process.pid}_${randomBytes(5).toString('hex')}`
}
