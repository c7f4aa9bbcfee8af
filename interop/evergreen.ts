// Evergreen as an operator runs it: its own process, on a new data folder, over TLS on loopback.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './synapse.ts'

const START_TIMEOUT_MS = 20_000
const STOP_TIMEOUT_MS = 12_000
const COMMAND = fileURLToPath(new URL('../packages/homeserver/bin/evergreen.js', import.meta.url))

export type Evergreen = {
  /** `localhost:PORT`, the port of its TLS listener. */
  readonly serverName: string
  /** Client API over plain HTTP. */
  readonly baseUrl: string
  /** Starts again on the same data; resolves when it answers. */
  start(): Promise<void>
  /** SIGTERM as an operator would, or `SIGKILL` as a crash. The data stays. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Stops, and deletes its data. */
  remove(): Promise<void>
}

/**
 * Starts Evergreen (SQLite, open registration, our own limits off); resolves when it answers.
 *
 * @param peer PEM file of the certificate of the server that it is to talk to
 * @param settings further variables, such as `EVERGREEN_LOG_LEVEL`
 */
export async function startEvergreen(
  peer: { certFile: string },
  settings: Record<string, string> = {},
): Promise<Evergreen> {
  const [httpPort, tlsPort] = [await freePort(), await freePort()]
  const dataDir = await mkdtemp(join(tmpdir(), 'evergreen-interop-'))
  const serverName = `localhost:${tlsPort}`
  const baseUrl = `http://127.0.0.1:${httpPort}`
  const env = {
    ...process.env,
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    EVERGREEN_SERVER_NAME: serverName,
    EVERGREEN_DATA_DIR: dataDir,
    EVERGREEN_LISTEN: `127.0.0.1:${httpPort}`,
    EVERGREEN_TLS_LISTEN: `127.0.0.1:${tlsPort}`,
    EVERGREEN_FEDERATION_CA_FILE: peer.certFile,
    EVERGREEN_FEDERATION_ALLOW_PRIVATE: 'true',
    EVERGREEN_REGISTRATION: 'open',
    EVERGREEN_RATE_LIMITS: 'off',
    EVERGREEN_PASSWORD_HASH: 'test',
    EVERGREEN_LOG_LEVEL: 'error',
    ...settings,
  }
  let running: ChildProcess | undefined

  async function start(): Promise<void> {
    const child = spawn(COMMAND, ['serve'], { env, stdio: ['ignore', 'ignore', 'inherit'] })
    running = child
    const deadline = Date.now() + START_TIMEOUT_MS
    while (!(await fetch(`${baseUrl}/health`).catch(() => undefined))?.ok) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error('Evergreen did not start')
      await sleep(50)
    }
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = running
    running = undefined
    if (!child || child.exitCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    const patience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await exited
    clearTimeout(patience)
  }

  await start()
  return {
    serverName,
    baseUrl,
    start,
    stop,
    async remove() {
      await stop('SIGKILL')
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
