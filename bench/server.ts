import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A server in a process of its own, so that its CPU time and memory are its own. */
export type Server = {
  baseUrl: string
  pid(): number
  /** CPU time that the process has used, in milliseconds. */
  cpuMs(): Promise<number>
  /** Resident memory, in megabytes. */
  memoryMb(): Promise<number>
  /** Stops it, and starts it again on the same data. @param meanwhile done while it is down */
  restart(meanwhile: () => Promise<void>): Promise<void>
  stop(): Promise<void>
}

/** CPU time (ms) and resident memory (MB) of a process, as Linux counts them. */
export async function usageOf(pid: number): Promise<{ cpuMs: number; memoryMb: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th field behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return {
    cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS,
    memoryMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
  }
}

/** Clock ticks a second of /proc on Linux. */
const TICKS = 100

/**
 * Starts Evergreen from this checkout on a new data folder, with our own limits off.
 * @param certificate PEM to trust for federation
 */
export function startEvergreen(certificate: string, port = 18_008): Promise<Server> {
  // By its own first line, as npm runs it: the flags that it gives Node belong to it.
  return start('packages/homeserver/bin/evergreen.js', ['serve'], port, certificate, (folder, caFile) => ({
    EVERGREEN_SERVER_NAME: `127.0.0.1:${port}`,
    EVERGREEN_DATA_DIR: join(folder, 'data'),
    EVERGREEN_LISTEN: `127.0.0.1:${port}`,
    EVERGREEN_TLS_LISTEN: 'off',
    EVERGREEN_FEDERATION_CA_FILE: caFile,
    EVERGREEN_FEDERATION_ALLOW_PRIVATE: 'true',
    EVERGREEN_REGISTRATION: 'open',
    EVERGREEN_RATE_LIMITS: 'off',
    EVERGREEN_PASSWORD_HASH: 'test',
    EVERGREEN_LOG_LEVEL: 'error',
  }))
}

/** Starts the bare server that Evergreen is compared with. @param certificate PEM to trust */
export function startReference(certificate: string, port = 18_009): Promise<Server> {
  const env = (_folder: string, caFile: string) => ({ REFERENCE_PORT: String(port), REFERENCE_CA_FILE: caFile })
  return start(process.execPath, ['bench/reference.ts'], port, certificate, env)
}

async function start(
  command: string,
  args: string[],
  port: number,
  certificate: string,
  settings: (folder: string, caFile: string) => Record<string, string>,
): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'evergreen-bench-'))
  const caFile = join(folder, 'ca.pem')
  await writeFile(caFile, certificate)
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`
  const env = { ...process.env, PATH, ...settings(folder, caFile) }
  const launch = () => spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env })
  let child = launch()
  const end = async () => {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
  const baseUrl = `http://127.0.0.1:${port}`
  await untilHealthy(baseUrl)
  return {
    baseUrl,
    pid: () => child.pid!,
    cpuMs: async () => (await usageOf(child.pid!)).cpuMs,
    memoryMb: async () => (await usageOf(child.pid!)).memoryMb,
    async restart(meanwhile) {
      await end()
      await meanwhile()
      child = launch()
      await untilHealthy(baseUrl)
    },
    async stop() {
      await end()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function untilHealthy(baseUrl: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    const ok = await fetch(`${baseUrl}/health`).then(
      (response) => response.ok,
      () => false,
    )
    if (ok) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`nothing has started at ${baseUrl}`)
}
