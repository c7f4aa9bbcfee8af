import type { PartialSettings } from '../../src/config/defaults.ts'
import { createHomeserver, type Homeserver } from '../../src/homeserver.ts'
import type { ServerName, UserId } from '../../src/matrix/ids.ts'
import { type HttpRequest, type HttpResponse, NetworkError } from '../../src/platform/network.ts'
import type { Platform } from '../../src/platform/platform.ts'
import type { ReopenableDatabase } from './databases.ts'
import { createMortalPlatform, type MortalPlatform } from './mortal-platform.ts'
import { createSeededRandom } from './seeded-random.ts'
import {
  type Ask,
  type ClientAnswer,
  type ClientRequest,
  registerClient,
  type TestClient,
  textValues,
} from './test-client.ts'
import type { TestRooms } from './test-rooms.ts'
import type { WatchedBackend } from './watched-backend.ts'

/** A real Evergreen in a test's process. Between `stop` or `kill` and `start` it is down. */
export type TestServer = {
  readonly serverName: string
  /** What runs now. @throws while it is down */
  readonly homeserver: Homeserver
  isRunning(): boolean
  /** Starts on the data that it has. */
  start(): Promise<void>
  /** Ends it as an operator does. */
  stop(): Promise<void>
  /** Ends it as kill -9 does: in the midst of whatever it was doing. */
  kill(): Promise<void>
  /** The same, at the call to the database that comes after so many more: before it is made, or before its answer is seen. */
  killAt(calls: number, moment: 'before' | 'after'): void
  /** Its database fails once, at the call after so many more. @returns takes that back, and says whether it has come */
  failAt(calls: number): () => boolean
  /** Looks into what runs; its calls to the database do not count for `killAt` and `failAt`. */
  look<T>(into: (homeserver: Homeserver) => Promise<T>): Promise<T>
  restart(): Promise<void>
  /** A new account, logged in on a device with keys. */
  register(localpart: string): Promise<TestClient>
  /** Asks its client API. @throws if it is down, or is killed before it has answered */
  ask: Ask
  /** Answers a request of another server, as the network hands it over. */
  handle(request: HttpRequest, from: string): Promise<HttpResponse>
}

export type TestServerOptions = {
  serverName: string
  settings: PartialSettings
  /** What all servers share; each process gets its own randomness. */
  platform: Platform
  seed: string
  database: ReopenableDatabase
  /** For the signing key, where that is a file. */
  dataDir: string
  /** What tests say of who shares a room; without it, real rooms say so. */
  rooms?: TestRooms | undefined
  /** Whether it is the one process of its server that takes in changes of rooms. */
  hearsOfRooms: boolean
}

type Running = { homeserver: Homeserver; mortal: MortalPlatform; backend: WatchedBackend; leaveRooms: () => void }

export function createTestServer(options: TestServerOptions): TestServer {
  const { serverName, settings, seed, database, dataDir, rooms, hearsOfRooms } = options
  const clientRandom = createSeededRandom(`${seed} clients`)
  let running: Running | undefined
  let starts = 0
  /** What is left to do of a death. */
  let ending: Promise<void> | undefined

  function alive(): Running {
    if (!running) throw new NetworkError('connection', `${serverName} is down`)
    return running
  }

  async function start(): Promise<void> {
    if (running) throw new Error(`${serverName} runs already`)
    await ending
    // What is made at random must not come again after a restart.
    const random = createSeededRandom(`${seed} ${starts++}`)
    const mortal = createMortalPlatform({ ...options.platform, random })
    const backend = await database.backend()
    const homeserver = await createHomeserver(
      {
        registration: 'open',
        passwordHash: 'test',
        rateLimits: false,
        publicBaseUrl: `https://${serverName}`,
        ...settings,
        serverName: serverName as ServerName,
        dataDir,
      },
      { platform: mortal.platform, backend, ...(rooms && { sharedRooms: rooms.of(serverName) }) },
    )
    await homeserver.startWorkers()
    running = { homeserver, mortal, backend, leaveRooms: () => {} }
    if (rooms && hearsOfRooms) running.leaveRooms = await rooms.attach(serverName, takeIn)
  }

  async function takeIn(started: UserId[], stopped: UserId[]): Promise<'taken in' | 'died'> {
    const { homeserver, mortal } = alive()
    const { store, deviceLists } = homeserver.ctx
    const work = store.transaction(async (tx) => {
      await deviceLists.stopTracking(tx, stopped)
      await deviceLists.startTracking(tx, started)
    })
    return (await orDeath(work, mortal.death)) === DEATH ? 'died' : 'taken in'
  }

  async function kill(): Promise<void> {
    const it = leave()
    die(it)
    await ending
  }

  /** It may be about to stop: then it dies in the midst of that. */
  function die(it: Running): void {
    if (running === it) leave()
    it.mortal.kill()
    ending = it.backend.kill()
  }

  async function stop(): Promise<void> {
    const { homeserver, mortal } = leave()
    ending = orDeath(homeserver.stop(), mortal.death).then(() => {})
    await ending
  }

  /** @returns what ran; from now on nobody reaches it */
  function leave(): Running {
    const before = alive()
    running = undefined
    before.leaveRooms()
    return before
  }

  async function inject(request: ClientRequest, headers: Record<string, string>): Promise<HttpResponse> {
    const { homeserver, mortal } = alive()
    const { method, path: url, body } = request
    const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    const answer = homeserver.app.inject({
      method: method as 'GET',
      url,
      headers,
      ...(payload === undefined ? {} : { payload }),
    })
    const { statusCode: status, headers: answered, rawPayload } = await unlessKilled(answer, mortal.death, serverName)
    return { status, headers: textValues(answered), body: rawPayload }
  }

  async function ask(request: ClientRequest): Promise<ClientAnswer> {
    const authorization = request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }
    const { status, headers, body } = await inject(request, { 'content-type': 'application/json', ...authorization })
    const text = body.toString('utf8')
    // The page is no JSON.
    const isPage = headers['content-type']?.startsWith('text/html')
    return { status, headers, body: text === '' || isPage ? undefined : JSON.parse(text) }
  }

  return {
    serverName,
    get homeserver() {
      return alive().homeserver
    },
    isRunning: () => running !== undefined,
    start,
    async look(into) {
      const { homeserver, backend } = alive()
      const done = backend.spare()
      try {
        return await into(homeserver)
      } finally {
        done()
      }
    },
    stop,
    kill,
    killAt(calls, moment) {
      const it = alive()
      it.backend.dieAfter(calls, moment, () => die(it))
    },
    failAt: (calls) => alive().backend.failAfter(calls),
    async restart() {
      await stop()
      await start()
    },
    register: (localpart) => registerClient(ask, clientRandom, localpart),
    ask,
    handle: (request) => inject(request, { ...request.headers, host: request.host }),
  }
}

const DEATH = Symbol('death')

/** What becomes of work in a process, unless it dies before. */
async function orDeath<T>(work: PromiseLike<T>, death: AbortSignal): Promise<T | typeof DEATH> {
  const { promise: died, resolve } = Promise.withResolvers<typeof DEATH>()
  const onDeath = () => resolve(DEATH)
  // The first call to the database may have been its last.
  if (death.aborted) onDeath()
  death.addEventListener('abort', onDeath)
  try {
    return await Promise.race([work, died])
  } finally {
    death.removeEventListener('abort', onDeath)
  }
}

/** Who waits for the answer of a process that dies sees the connection break. */
async function unlessKilled<T>(answer: PromiseLike<T>, death: AbortSignal, serverName: string): Promise<T> {
  const result = await orDeath(answer, death)
  if (result === DEATH) throw new NetworkError('connection', `${serverName} was killed`)
  return result
}
