import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getTestContext, type TestContext } from 'node:test'
import type { PartialSettings } from '../../src/config/defaults.ts'
import { type Logger, silentLogger } from '../../src/platform/logger.ts'
import type { ReopenableDatabase, TestDatabase } from './databases.ts'
import { createFakeClock, type FakeClock } from './fake-clock.ts'
import { createMemoryNetwork, type MemoryNetwork } from './memory-network.ts'
import { createRealRooms } from './real-rooms.ts'
import { createScriptedRemote, type ScriptedRemote } from './scripted-remote.ts'
import { createSeededRandom } from './seeded-random.ts'
import { createTestRooms, type TestRooms } from './test-rooms.ts'
import { createTestServer, type TestServer } from './test-server.ts'

/** Real Evergreens in one process, on one network in memory and one clock that is advanced by hand. */
export type TestNetwork<Name extends string> = {
  servers: Record<Name, TestServer>
  clock: FakeClock
  network: MemoryNetwork
  rooms: TestRooms
  /** Another process of the same server, on PostgreSQL. It serves its clients and does its work; other servers reach the first. */
  addProcess(name: Name): Promise<TestServer>
  /** A scripted server on the same network. */
  remote(serverName: string): ScriptedRemote
  /** Waits until nothing is left to do before the clock is advanced. */
  settle(): Promise<void>
  advance(ms: number): Promise<void>
  /**
   * Lets time pass until `check` holds.
   * @returns the milliseconds that it took
   * @throws if it does not hold within `withinMs`
   */
  until(check: () => boolean | Promise<boolean>, withinMs: number): Promise<number>
}

export type TestNetworkOptions = {
  /** From `forEachDatabase`: every server gets one of this kind. */
  database: TestDatabase
  settings?: PartialSettings
  /** Decides all that is left to chance. */
  seed?: string
  /** `rooms` are true rooms, and events say who shares one with whom. */
  realRooms?: boolean
  log?: Logger
}

/** How far `until` lets time pass between two looks where no timer is set (ms). */
const LOOK_MS = 1_000

/** Starts the servers. They end with the test that runs. */
export async function testNetwork<Name extends string>(
  names: readonly Name[],
  { database, settings = {}, seed = 'test', realRooms = false, log = silentLogger }: TestNetworkOptions,
): Promise<TestNetwork<Name>> {
  const clock = createFakeClock(undefined, { settle: database.settle })
  const network = createMemoryNetwork(clock, createSeededRandom(`${seed} network`))
  const remotes = new Map<string, ScriptedRemote>()
  const said = createTestRooms()
  const party = {
    server: (name: string) => processes.find((server) => server.serverName === name),
    remote: (name: string) => remotes.get(name),
  }
  const rooms = realRooms ? { ...said, ...createRealRooms(party) } : said
  const folder = mkdtempSync(join(tmpdir(), 'evergreen-test-network-'))
  const databases = new Map<string, ReopenableDatabase>()
  const processes: TestServer[] = []

  async function startProcess(serverName: string): Promise<TestServer> {
    const isFirst = !databases.has(serverName)
    const data = databases.get(serverName) ?? (await database.create())
    databases.set(serverName, data)
    const server = createTestServer({
      serverName,
      settings,
      platform: { clock, network: network.of(serverName), random: createSeededRandom(seed), log },
      seed: `${seed} ${serverName} ${processes.length}`,
      database: data,
      dataDir: mkdtempSync(join(folder, 'server-')),
      rooms: realRooms ? undefined : said,
      hearsOfRooms: isFirst,
    })
    processes.push(server)
    if (isFirst) network.host(serverName, server.handle)
    await server.start()
    return server
  }

  const context = getTestContext() as TestContext
  context.after(async () => {
    for (const server of processes) if (server.isRunning()) await server.stop()
    rmSync(folder, { recursive: true, force: true })
    const timers = clock.pendingTimers() - network.inFlight()
    if (timers > 0) throw new Error(`${timers} timers are left of servers that have stopped`)
  })
  const started = []
  for (const name of names) started.push([name, await startProcess(name)] as const)

  return {
    servers: Object.fromEntries(started) as Record<Name, TestServer>,
    clock,
    network,
    rooms,
    addProcess(name) {
      if (database.name === 'sqlite') throw new Error('a server on SQLite has one process')
      return startProcess(name)
    },
    remote(serverName) {
      const remote = createScriptedRemote({ serverName, clock, network: network.of(serverName) })
      remotes.set(serverName, remote)
      network.host(serverName, remote.handle)
      return remote
    },
    settle: database.settle,
    advance: clock.advance,
    async until(check, withinMs) {
      const start = clock.now()
      await database.settle()
      while (!(await check())) {
        const left = start + withinMs - clock.now()
        if (left <= 0) throw new Error(`it did not come true within ${withinMs} ms`)
        const nextTimer = (clock.nextTimerAt() ?? Number.POSITIVE_INFINITY) - clock.now()
        await clock.advance(Math.min(left, LOOK_MS, Math.max(nextTimer, 1)))
      }
      return clock.now() - start
    },
  }
}
