import { startSynapse } from '../interop/synapse.ts'
import { gapStorm, recoveries, untilFetched, untilShown, updates } from './federation-scenarios.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { type BenchClient, createBenchAgent, register } from './matrix-client.ts'
import { inLanes, join, timed } from './room-scenarios.ts'
import { type Server, startEvergreen, usageOf } from './server.ts'

/**
 * What device lists of many remote servers cost and how soon they are right again: Evergreen and a real Synapse run at the same time,
 * each with a fleet of remote servers of its own, and are asked for the same in turns. `BENCH_SERVERS`, `BENCH_USERS` (on each),
 * `BENCH_ROUNDS`, `BENCH_LANES` (transactions under way at a time); `BENCH_ONLY=Evergreen` leaves
 * Synapse out. See docs/benchmarks.md.
 */
const SERVERS = Number(process.env.BENCH_SERVERS ?? 50)
const USERS = Number(process.env.BENCH_USERS ?? 10)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const QUERIED = 50
const QUERIES = 100
const OUTAGE_MS = 40_000

type Subject = {
  name: string
  serverName: string
  baseUrl: string
  pid: number
  fleet: Fleet
  reader: BenchClient
  evergreen?: Server
  end(): Promise<void>
}
type Cost = { wallMs: number; cpuMs: number }

const agent = createBenchAgent()
const only = process.env.BENCH_ONLY
const subjects: Subject[] = []
if (only !== 'Synapse') subjects.push(await evergreenSubject())
if (only !== 'Evergreen') subjects.push(await synapseSubject())
for (const { fleet, reader } of subjects) {
  await join(reader, fleet.roomId, fleet.servers[0])
  await untilShown(fleet, reader, fleet.users)
}

const users = SERVERS * USERS
await compare(`a gap of ${users} users on ${SERVERS} servers, until all fresh`, users, (subject) =>
  gapStorm(subject.fleet, subject, subject.reader),
)
await compare('updates in, 10 a transaction, until seen', users, (subject) =>
  updates(subject.fleet, subject, subject.reader, 10),
)
await compare('updates in, one a transaction, until seen', users, (subject) =>
  updates(subject.fleet, subject, subject.reader, 1),
)
await compare(`/keys/query of ${QUERIED} cached remote users`, QUERIES, ({ reader, fleet }) =>
  timed(() => query(reader, fleet)),
)
for (const { name, pid } of subjects) console.log(`memory, ${name}: ${(await usageOf(pid)).memoryMb.toFixed(0)} MB`)
for (const subject of subjects) if (subject.evergreen) await recover(subject, subject.evergreen)
for (const { end, fleet } of subjects) {
  await end()
  await fleet.close()
}
await agent.destroy()

async function evergreenSubject(): Promise<Subject> {
  const fleet = await startFleet(SERVERS, USERS)
  const server = await startEvergreen(fleet.certificate)
  const { baseUrl } = server
  const reader = await register(baseUrl, 'alice', agent)
  const serverName = new URL(baseUrl).host
  const pid = server.pid()
  return { name: 'Evergreen', serverName, baseUrl, pid, fleet, reader, evergreen: server, end: server.stop }
}

async function synapseSubject(): Promise<Subject> {
  const fleet = await startFleet(SERVERS, USERS)
  const { serverName, baseUrl, pid, remove } = await startSynapse()
  const reader = await register(baseUrl, 'alice', agent)
  return { name: 'Synapse', serverName, baseUrl, pid: pid()!, fleet, reader, end: remove }
}

async function query(reader: BenchClient, fleet: Fleet): Promise<void> {
  const body = { device_keys: Object.fromEntries(fleet.users.slice(0, QUERIED).map((userId) => [userId, []])) }
  await inLanes(4, QUERIES, async () => void (await reader.ask('POST', '/keys/query', body)))
}

/** Has all do the same in turns, once to warm up and then several times; shows the middle of each, and how they compare. */
async function compare(what: string, count: number, work: (subject: Subject) => Promise<number>): Promise<void> {
  const costs = subjects.map((): Cost[] => [])
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, subject] of subjects.entries()) {
      const before = (await usageOf(subject.pid)).cpuMs
      const wallMs = await work(subject)
      if (round > 0) costs[index]!.push({ wallMs, cpuMs: (await usageOf(subject.pid)).cpuMs - before })
    }
  }
  const middle = (all: Cost[], of: (cost: Cost) => number) => all.map(of).sort((a, b) => a - b)[all.length >> 1]!
  const shown = costs.map((all) => [middle(all, (cost) => cost.wallMs), middle(all, (cost) => cost.cpuMs)] as const)
  console.log(what)
  for (const [index, [wallMs, cpuMs]] of shown.entries()) {
    const rates = `${((count * 1_000) / wallMs).toFixed(0)}/s, ${((count * 1_000) / cpuMs).toFixed(0)}/s of CPU`
    const times = `${wallMs.toFixed(0)} ms, ${(cpuMs / count).toFixed(2)} ms of CPU each`
    console.log(`  ${subjects[index]!.name.padEnd(10)} ${times}, ${rates}`)
  }
  const [ours, theirs] = shown
  if (!ours || !theirs) return
  console.log(
    `  ratio      ${(theirs[0] / ours[0]).toFixed(1)} times as fast, ${(theirs[1] / ours[1]).toFixed(1)} by CPU`,
  )
}

/** How soon lists are right again with nobody asking: after faults of other servers, and after our own downtime. */
async function recover({ fleet, reader, ...target }: Subject, server: Server): Promise<void> {
  console.log(`fetched again after ${OUTAGE_MS / 1_000} s of failure, once the server can be asked (ms):`)
  const found = await recoveries(fleet, target, OUTAGE_MS)
  for (const { fault, spoke, silent } of found)
    console.log(`  ${fault.padEnd(10)} it speaks: ${spoke.toFixed(0)}, it is silent: ${silent.toFixed(0)}`)
  console.log(`  requests before the end of a Retry-After: ${fleet.tooEarly()}`)

  const before = fleet.requests()
  await server.restart(async () => {
    for (const userId of fleet.users) fleet.change(userId)
  })
  const ms = await timed(() => untilFetched(fleet, fleet.users))
  console.log(`after our downtime, all ${fleet.users.length} lists changed meanwhile: ${ms.toFixed(0)} ms`)
  console.log(`  with ${fleet.requests() - before} requests`)
  await untilShown(fleet, reader, fleet.users)
}
