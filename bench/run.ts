import { Agent, request } from 'undici'
import { type Remote, startRemote } from './remote.ts'
import { type Server, startEvergreen, startReference } from './server.ts'

/**
 * What the main job costs: idle memory, CPU for one resync, refreshes a second from the short-lived cache. Evergreen is one
 * process on SQLite, our own limits off; then a bare server does the same. The load and the remote run in this process.
 * See docs/benchmarks.md.
 */
const RESYNCS = 2_000
const CACHED = 20_000
const WARM_UP = 500
const CONNECTIONS = 8
const IDLE_MS = 10_000

type Figures = { idleMb: number; resyncMs: number; cachedMs: number; cachedPerSecond: number; loadedMb: number }

const remote = await startRemote(5)
const evergreen = await measured(await startEvergreen(remote.certificate), register)
const bare = await measured(await startReference(remote.certificate), async () => 'none')
await remote.close()

console.log(`${' '.repeat(44)} Evergreen       bare  times bare`)
report('idle memory, MB', ({ idleMb }) => idleMb)
report('CPU for one resync, ms', ({ resyncMs }) => resyncMs)
report('CPU for one refresh from the cache, ms', ({ cachedMs }) => cachedMs)
report('refreshes from the cache a second of CPU', ({ cachedMs }) => 1000 / cachedMs)
report('refreshes from the cache a second', ({ cachedPerSecond }) => cachedPerSecond)
report('memory after all that, MB', ({ loadedMb }) => loadedMb)

async function measured(server: Server, login: (server: Server) => Promise<string>): Promise<Figures> {
  const agent = new Agent({ connections: CONNECTIONS, pipelining: 1 })
  try {
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
    const idleMb = await server.memoryMb()
    const token = await login(server)
    return { idleMb, ...(await underLoad(server, agent, token, remote)) }
  } finally {
    await agent.close()
    await server.stop()
  }
}

async function underLoad(
  server: Server,
  agent: Agent,
  token: string,
  remote: Remote,
): Promise<Omit<Figures, 'idleMb'>> {
  const usage = async () => ({ cpu: await server.cpuMs(), wall: performance.now() })
  const refresh = async (index: number) => {
    const user = encodeURIComponent(`@user${index}:${remote.serverName}`)
    const url = `${server.baseUrl}/_matrix/client/unstable/org.matrix.msc2638/user/${user}/devices/refresh`
    const headers = { authorization: `Bearer ${token}` }
    const { statusCode, body } = await request(url, { method: 'POST', dispatcher: agent, headers })
    await body.dump()
    if (statusCode !== 202) throw new Error(`a refresh was answered ${statusCode}`)
  }

  await inParallel(WARM_UP, refresh)
  const gets = remote.gets()
  const before = await usage()
  await inParallel(RESYNCS, (index) => refresh(WARM_UP + index))
  const after = await usage()
  if (remote.gets() !== gets + RESYNCS) throw new Error(`${remote.gets() - gets} lists were fetched`)

  await inParallel(WARM_UP * 4, () => refresh(0))
  const start = await usage()
  await inParallel(CACHED, () => refresh(0))
  const end = await usage()
  return {
    resyncMs: (after.cpu - before.cpu) / RESYNCS,
    cachedMs: (end.cpu - start.cpu) / CACHED,
    cachedPerSecond: CACHED / ((end.wall - start.wall) / 1000),
    loadedMb: await server.memoryMb(),
  }
}

async function inParallel(count: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, lane))
}

async function register({ baseUrl }: Server): Promise<string> {
  const response = await fetch(`${baseUrl}/_matrix/client/v3/register`, {
    method: 'POST',
    body: JSON.stringify({ username: 'bench', password: 'bench password', auth: { type: 'm.login.dummy' } }),
  })
  return ((await response.json()) as { access_token: string }).access_token
}

function report(what: string, of: (figures: Figures) => number): void {
  const [ours, theirs] = [of(evergreen), of(bare)]
  const shown = (value: number) => value.toFixed(value < 10 ? 2 : 0)
  console.log(
    `${what.padEnd(44)} ${shown(ours).padStart(9)} ${shown(theirs).padStart(10)} ${shown(ours / theirs).padStart(11)}`,
  )
}
