import { startSynapse } from '../interop/synapse.ts'
import { type BenchClient, createBenchAgent, register } from './matrix-client.ts'
import { type RoomRemote, startRoomRemote } from './room-remote.ts'
import { delivered, initialSync, inLanes, join, keysQueries, publicRoom, timed, wakeUp } from './room-scenarios.ts'
import { startEvergreen, usageOf } from './server.ts'

/**
 * What rooms cost: Evergreen and a real Synapse (`npm run test:interop` installs it) in one run, each one process on SQLite
 * with its limits off. How much is asked of them: `BENCH_ROOMS`, `BENCH_POLLS`, `BENCH_MEMBERS`; `BENCH_ONLY=Evergreen` leaves
 * Synapse out. See docs/benchmarks.md.
 */
const MESSAGES = 400
const WARM_UP = 100
const ROOMS = Number(process.env.BENCH_ROOMS ?? 500)
const POLLS = Number(process.env.BENCH_POLLS ?? 2_000)
/** Long polls of each reader. */
const POLLS_EACH = 10
const MEMBERS = Number(process.env.BENCH_MEMBERS ?? 5_000)
/** A server that uses less in a second is idle. */
const IDLE_CPU_MS = 30
const QUERIED = 50
const QUERIES = 200

type Figures = Record<string, number>
type Subject = { baseUrl: string; pid: number; end(): Promise<void> }

const remote = await startRoomRemote(MEMBERS)
const names = (['Evergreen', 'Synapse'] as const).filter((name) => (process.env.BENCH_ONLY ?? name) === name)
const figures: Figures[] = []
for (const name of names) figures.push(await measured(name))
await remote.close()
console.log(`${' '.repeat(52)} ${names.map((name) => name.padStart(10)).join('')}      ratio`)
for (const what of Object.keys(figures[0]!)) {
  const values = figures.map((one) => one[what]!)
  const ratio = values.length === 2 ? (values[0]! / values[1]!).toFixed(3).padStart(11) : ''
  console.log(`${what.padEnd(52)} ${values.map((value) => value.toFixed(1).padStart(10)).join('')}${ratio}`)
}

async function start(name: 'Evergreen' | 'Synapse'): Promise<Subject> {
  if (name === 'Evergreen') {
    const server = await startEvergreen(remote.certificate)
    return { ...server, pid: server.pid(), end: server.stop }
  }
  const server = await startSynapse()
  return { baseUrl: server.baseUrl, pid: server.pid()!, end: server.remove }
}

async function measured(name: 'Evergreen' | 'Synapse'): Promise<Figures> {
  const server = await start(name)
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  const idle = (await usageOf(server.pid)).memoryMb
  const agent = createBenchAgent()
  const newClient = (username: string) => register(server.baseUrl, username, agent)
  const found: Figures = { 'idle memory, MB': idle }
  try {
    const alice = await newClient('alice')
    const bob = await newClient('bob')
    Object.assign(found, await messages(alice, bob))
    Object.assign(found, await largeRoom(await newClient('carol'), remote, () => settled(server.pid)))
    await settled(server.pid)
    const { perSecond, ms } = await initialSync(await newClient('dora'), ROOMS)
    found['rooms made a second'] = perSecond
    found[`initial sync of ${ROOMS} rooms, ms`] = ms
    Object.assign(found, await wakeUps(alice, newClient))
    found['memory after all that, MB'] = (await usageOf(server.pid)).memoryMb
    return found
  } finally {
    await agent.destroy()
    await server.end()
  }
}

/** Waits until the server has nothing left to do: Evergreen fetches the device lists of a room that it has come to. @returns ms of CPU */
async function settled(pid: number): Promise<number> {
  const first = (await usageOf(pid)).cpuMs
  for (let before = first; ; ) {
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const now = (await usageOf(pid)).cpuMs
    if (now - before < IDLE_CPU_MS) return now - first
    before = now
  }
}

async function messages(alice: BenchClient, bob: BenchClient): Promise<Figures> {
  const roomId = await publicRoom(alice)
  await join(bob, roomId)
  await delivered(alice, bob, roomId, WARM_UP, 1)
  return {
    'messages a second until seen, one at a time': await delivered(alice, bob, roomId, MESSAGES, 1),
    'messages a second until seen, eight at a time': await delivered(alice, bob, roomId, MESSAGES, 8),
  }
}

async function largeRoom(
  carol: BenchClient,
  { roomId, serverName, members }: RoomRemote,
  settled: () => Promise<number>,
): Promise<Figures> {
  const joined = await timed(() => join(carol, roomId, serverName))
  const followed = await settled()
  const synced = await timed(() => carol.ask('GET', '/sync'))
  return {
    [`joining a remote room of ${MEMBERS} members, ms`]: joined,
    'what follows from that, ms of CPU': followed,
    'first sync of that room, ms': synced,
    [`/keys/query of ${QUERIED} remote users, a second`]: await keysQueries(carol, members.slice(0, QUERIED), QUERIES),
  }
}

async function wakeUps(alice: BenchClient, newClient: (username: string) => Promise<BenchClient>): Promise<Figures> {
  const roomId = await publicRoom(alice)
  const readers: BenchClient[] = []
  await inLanes(4, POLLS / POLLS_EACH, async (index) => {
    const reader = await newClient(`reader${index}`)
    await join(reader, roomId)
    readers.push(reader)
  })
  const { p50, p99 } = await wakeUp(alice, readers, roomId, POLLS_EACH)
  return { [`${POLLS} long polls woken, median ms`]: p50, [`${POLLS} long polls woken, p99 ms`]: p99 }
}
