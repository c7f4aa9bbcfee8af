import { environmentOf, findPostgres, type PostgresServer } from './postgres-server.ts'

// Node's --test-global-setup module: one PostgreSQL for all test files of a run.

let server: PostgresServer | undefined

/** Runs before the first test file; the files' processes inherit the environment. */
export async function globalSetup(): Promise<void> {
  const found = await findPostgres()
  Object.assign(process.env, environmentOf(found))
  if (!('missing' in found)) server = found
}

/** Runs after the last test file, also when some of them failed. */
export async function globalTeardown(): Promise<void> {
  await server?.stop()
}
