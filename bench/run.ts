import { Agent, request } from 'undici'
import { startRemote } from './remote.ts'
import { startEvergreen } from './server.ts'

/**
 * What the main job costs: idle memory, CPU for one resync, refreshes a second from the short-lived cache. One process on
 * SQLite, our own limits off; the load and the remote run in this process. See docs/benchmarks.md.
 */
const RESYNCS = 2_000
const CACHED = 20_000
const WARM_UP = 500
const CONNECTIONS = 8

const remote = await startRemote(5)
const server = await startEvergreen(remote.certificate)
const agent = new Agent({ connections: CONNECTIONS, pipelining: 1 })
try {
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  report('idle memory', await server.memoryMb(), 'MB')
  const token = await register()
  const refresh = async (userId: string) => {
    const url = `${server.baseUrl}/_matrix/client/unstable/org.matrix.msc2638/user/${encodeURIComponent(userId)}/devices/refresh`
    const response = await request(url, {
      method: 'POST',
      dispatcher: agent,
      headers: { authorization: `Bearer ${token}` },
    })
    await response.body.dump()
    if (response.statusCode !== 202) throw new Error(`a refresh was answered ${response.statusCode}`)
  }
  const user = (index: number) => `@user${index}:${remote.serverName}`

  await inParallel(WARM_UP, (index) => refresh(user(index)))
  const before = await usage()
  await inParallel(RESYNCS, (index) => refresh(user(WARM_UP + index)))
  const after = await usage()
  if (remote.gets() !== WARM_UP + RESYNCS) throw new Error(`${remote.gets()} lists were fetched`)
  report('CPU for one resync', (after.cpu - before.cpu) / RESYNCS, 'ms')

  await inParallel(WARM_UP * 4, () => refresh(user(0)))
  const start = await usage()
  await inParallel(CACHED, () => refresh(user(0)))
  const end = await usage()
  report('CPU for one refresh from the cache', (end.cpu - start.cpu) / CACHED, 'ms')
  report('refreshes from the cache a second of CPU', CACHED / ((end.cpu - start.cpu) / 1000), '/s')
  report('refreshes from the cache a second', CACHED / ((end.wall - start.wall) / 1000), '/s')
  report('memory after all that', await server.memoryMb(), 'MB')
} finally {
  await agent.close()
  await server.stop()
  await remote.close()
}

async function usage(): Promise<{ cpu: number; wall: number }> {
  return { cpu: await server.cpuMs(), wall: performance.now() }
}

async function inParallel(count: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, lane))
}

async function register(): Promise<string> {
  const response = await fetch(`${server.baseUrl}/_matrix/client/v3/register`, {
    method: 'POST',
    body: JSON.stringify({ username: 'bench', password: 'bench password', auth: { type: 'm.login.dummy' } }),
  })
  const body = (await response.json()) as { access_token: string }
  return body.access_token
}

function report(what: string, value: number, unit: string): void {
  console.log(`${what.padEnd(45)} ${value.toFixed(value < 10 ? 2 : 0).padStart(8)} ${unit}`)
}
