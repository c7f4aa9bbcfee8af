// A real Synapse, run from the root that `setup-synapse.sh` made, on loopback only.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { signingKey, synapseConfig } from './synapse-config.ts'

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 20_000

/** Where `setup-synapse.sh` puts Synapse. */
const synapseRoot = process.env.EVERGREEN_SYNAPSE_DIR || join(homedir(), '.cache/evergreen/synapse')

type SynapseOptions = {
  /** Port of the TLS listener, which is part of the server name. Default: a free one. */
  port?: number
  /** Folder below `synapseRoot` that keeps the database, keys and log. Default: a new one in `srv/`. A used one needs its port. */
  dataDir?: string
  /** PEM file of the only authority to trust for federation. Default: any certificate is good. */
  caFile?: string
}

/** A Synapse that was started at least once. */
export type Synapse = {
  /** `localhost:PORT`: user IDs end in it, and federation finds the TLS listener by it without further ado. */
  readonly serverName: string
  /** Client API over plain HTTP. */
  readonly baseUrl: string
  /** Client and federation API over TLS. */
  readonly tlsUrl: string
  /** PEM file of its certificate, which is its own authority: what a peer needs to trust. */
  readonly certFile: string
  readonly dataDir: string
  readonly logFile: string
  /** Of the running process, for those who measure it; null while stopped. */
  pid(): number | null
  /** Starts again on the same data; resolves when it answers. Does nothing while running. */
  start(): Promise<void>
  /** Ends the process and waits for it: SIGTERM as an operator would, or `SIGKILL` as a crash. The data stays. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Stops, and deletes `dataDir`. */
  remove(): Promise<void>
}

/**
 * For the `skip` option of a test: `false` where a Synapse can run, else the reason, which is also said loudly on
 * standard error, since a skipped interop test must not pass for a passed one.
 */
export function skipWithoutSynapse(): string | false {
  const reason = !existsSync(join(synapseRoot, 'usr/bin/python3'))
    ? `no Synapse in ${synapseRoot}: run interop/setup-synapse.sh as root`
    : process.getuid?.() !== 0
      ? 'only root may run the Synapse of interop/setup-synapse.sh (chroot)'
      : false
  if (reason) console.error(`\n${'*'.repeat(100)}\n*** INTEROP TESTS SKIPPED: ${reason}\n${'*'.repeat(100)}\n`)
  return reason
}

/** Starts a Synapse (SQLite, open registration, no rate limits, quick retries); resolves when it answers. */
export async function startSynapse(options: SynapseOptions = {}): Promise<Synapse> {
  const tlsPort = options.port ?? (await freePort())
  const httpPort = await freePort()
  const serverName = `localhost:${tlsPort}`
  const dataDir = options.dataDir ?? (await mkdtemp(join(synapseRoot, 'srv/synapse-')))
  const folder = insideRoot(dataDir)
  await mkdir(dataDir, { recursive: true })
  if (!existsSync(join(dataDir, 'signing.key'))) await createSecrets(dataDir)
  if (options.caFile) await copyFile(options.caFile, join(dataDir, 'ca.pem'))
  const config = synapseConfig({ serverName, tlsPort, httpPort, folder }, options.caFile ? [`${folder}/ca.pem`] : [])
  await writeFile(join(dataDir, 'homeserver.yaml'), config)

  const baseUrl = `http://127.0.0.1:${httpPort}`
  const logFile = join(dataDir, 'synapse.log')
  let running: ChildProcess | null = null

  const start = async () => {
    if (running) return
    const child = await launch(`${folder}/homeserver.yaml`, logFile)
    running = child
    child.once('exit', () => {
      if (running === child) running = null
    })
    try {
      await answers(child, `${baseUrl}/_matrix/client/versions`)
    } catch (cause) {
      await end(child, 'SIGKILL')
      throw new Error(`Synapse did not start. The end of ${logFile}:\n${await tail(logFile)}`, { cause })
    }
  }
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (running) await end(running, signal)
  }
  const remove = async () => {
    await stop('SIGKILL')
    await rm(dataDir, { recursive: true })
  }

  await start()
  return {
    serverName,
    baseUrl,
    tlsUrl: `https://${serverName}`,
    certFile: join(dataDir, 'tls.crt'),
    dataDir,
    logFile,
    pid: () => running?.pid ?? null,
    start,
    stop,
    remove,
  }
}

/** A loopback TCP port that nothing listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

function insideRoot(path: string): string {
  const below = relative(synapseRoot, path)
  if (below === '' || below.startsWith('..')) throw new Error(`dataDir must lie below ${synapseRoot}, not in ${path}`)
  return `/${below}`
}

async function createSecrets(dataDir: string): Promise<void> {
  const folder = insideRoot(dataDir)
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30']
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const files = ['-keyout', `${folder}/tls.key`, '-out', `${folder}/tls.crt`]
  await promisify(execFile)('chroot', [synapseRoot, 'openssl', ...args, ...name, ...files])
  await writeFile(join(dataDir, 'signing.key'), signingKey(), { mode: 0o600 })
}

/**
 * `setpriv` makes the kernel kill Synapse when the process that started it is gone, however that one ended. Each link
 * replaces itself with the next, so the child's pid is Synapse's own.
 */
async function launch(config: string, logFile: string): Promise<ChildProcess> {
  const log = await open(logFile, 'a')
  const command = ['chroot', synapseRoot, 'python3', '-m', 'synapse.app.homeserver', '-c', config]
  const child = spawn('setpriv', ['--pdeathsig', 'SIGKILL', ...command], {
    stdio: ['ignore', log.fd, log.fd],
    cwd: '/',
  })
  await once(child, 'spawn')
  await log.close()
  child.unref() // a test that forgets to stop it must still be able to end
  return child
}

async function answers(child: ChildProcess, url: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (Date.now() < deadline) {
    if (hasEnded(child)) throw new Error(`it exited with ${child.exitCode ?? child.signalCode}`)
    const response = await fetch(url).catch(() => null)
    await response?.body?.cancel()
    if (response?.ok) return
    await sleep(50)
  }
  throw new Error(`${url} did not answer within ${START_TIMEOUT_MS} ms`)
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return
  const exited = once(child, 'exit')
  child.ref()
  child.kill(signal)
  const patience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(patience)
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function tail(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).split('\n').slice(-30).join('\n')
}
