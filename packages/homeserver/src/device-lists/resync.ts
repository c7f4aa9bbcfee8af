import type { ServerName, UserId } from '../matrix/ids.ts'
import type { Cancel } from '../platform/clock.ts'
import { createSemaphore, type Semaphore } from '../platform/semaphore.ts'
import { createWorkerLoop } from '../platform/worker-loop.ts'
import * as leases from '../storage/device-list-leases.ts'
import * as waits from '../storage/device-list-waits.ts'
import type * as storage from '../storage/device-lists.ts'
import { STALE_AT } from './doubts.ts'
import { type FetchManner, type FetchTools, fetchList, type ServerVerdict } from './fetch.ts'
import { createFlights } from './flights.ts'
import { holdLease, LEASE_MS } from './lease.ts'
import type { EngineParts } from './ports.ts'
import type { Suspicion } from './suspicion.ts'

/** A server is worked on in so many lanes until it has answered: servers that hang must not use up all permits. */
const FIRST_LANES = 2
/** Word from a server makes its waiting lists due, at most this often (ms). */
const HEARD_INTERVAL_MS = 1_000
/** However quiet it is, stale lists are looked for this often (ms). */
const LOOK_INTERVAL_MS = 60_000

/** Begins the key by which processes tell each other that a server has spoken. */
const HEARD_FROM = 'heard from: '

export type Resync = {
  start(): Promise<void>
  /** Lets no new fetch begin, breaks those in flight off, and waits for them; what was begun is due again. */
  stop(): Promise<void>
  /** A hint that lists of this server have become due. */
  wake(serverName: ServerName): void
  /** A hint that lists of any server have. */
  look(): void
  /**
   * Begins the fetch of one stale list now, whatever its wait, unless one is under way. The ledger tells the end.
   * @returns whether this call began it
   */
  fetchNow(userId: UserId, serverName: ServerName, manner: FetchManner): Promise<boolean>
  /** A server has made an authenticated request: whatever waits for it is due. */
  heardFrom(serverName: ServerName): void
  /** A server's back-off has ended: whatever waits for it is due. */
  serverIsUp(serverName: ServerName): void
}

/** Permits for fetches from servers that have failed and not answered since are one of so many. */
const PROBES_PART = 4

/** @param most at the same time altogether */
function permitsFor(most: number): { usual: Semaphore; probes: Semaphore } {
  const probes = Math.floor(most / PROBES_PART)
  const usual = createSemaphore(most - probes)
  return { usual, probes: probes > 0 ? createSemaphore(probes) : usual }
}

/** The work on one server in this process. */
type Lanes = { count: number; again: boolean }
/** What a step of a lane found: whether there may be more to do at its server now. */
type Step = ServerVerdict | 'nothing due'

/**
 * Fetches stale lists until they are right. The ledger says what is due and, by leases, who works on it: several
 * processes share the work, and a dead one's is taken over. Each server is worked on in lanes, at most so many
 * (one while it has failed and not answered since), and each step of a lane takes a permit in turn with all others. Servers
 * that have failed share a part of the permits, and what hangs is given up early where others wait, so that no server
 * delays another.
 */
export function createResync(parts: EngineParts, suspect: Suspicion['suspect']): Resync {
  const { store, clock, log, settings, transport } = parts
  const flights = createFlights(clock)
  const permits = permitsFor(settings.fetches)
  const servers = new Map<ServerName, Lanes>()
  const running = new Set<Promise<unknown>>()
  const stopping = new AbortController()
  const tools: FetchTools = { flights, suspect }
  // Asked at every inbound request, so it is kept in memory: servers whose lists wait, and those just heard from.
  let waiting = new Set<ServerName>()
  const heard = new Map<ServerName, { cancel: Cancel; again: boolean }>()
  // A server may speak to one process while another one waits for it.
  store.notifier.hearOthers((keys = []) => {
    for (const key of keys) {
      if (key.startsWith(STALE_AT)) {
        waiting.add(key.slice(STALE_AT.length) as ServerName)
        lookLater()
      } else if (key.startsWith(HEARD_FROM)) flights.nudge(key.slice(HEARD_FROM.length) as ServerName)
    }
  })

  // When another process should be done with what it began: whatever is stale then is known to the loop.
  let cancelLook: Cancel | undefined
  function lookLater(): void {
    cancelLook ??= clock.after(LEASE_MS, () => {
      cancelLook = undefined
      loop.wake()
    })
  }

  const loop = createWorkerLoop({
    clock,
    lookEveryMs: store.lookEveryMs,
    onError: (error) => log.error({ err: error }, 'looking for stale device lists failed'),
    async pass() {
      const due = await waits.dueServers(store.db, clock.now())
      waiting = new Set(due.map((server) => server.serverName))
      const now = clock.now()
      let nextAt = now + LOOK_INTERVAL_MS
      for (const { serverName, dueAt } of due) {
        if (dueAt <= now) openLane(serverName)
        else nextAt = Math.min(nextAt, dueAt)
      }
      return { more: false, nextAt }
    },
  })

  /** Runs background work that `stop` waits for. */
  function track(what: string, work: Promise<unknown>): void {
    const tracked = work
      .catch((error: unknown) => log.error({ err: error }, `${what} failed`))
      .finally(() => running.delete(tracked))
    running.add(tracked)
  }

  /** @returns the lanes of a server with one more taken, or `undefined` if all are in use */
  function takeLane(serverName: ServerName): Lanes | undefined {
    if (stopping.signal.aborted) return undefined
    const lanes = servers.get(serverName) ?? { count: 0, again: false }
    if (lanes.count >= settings.fetchesPerDestination) {
      lanes.again = true
      return undefined
    }
    lanes.count++
    servers.set(serverName, lanes)
    return lanes
  }

  function leaveLane(serverName: ServerName, lanes: Lanes): void {
    lanes.count--
    if (lanes.count === 0 && servers.get(serverName) === lanes) servers.delete(serverName)
  }

  function openLane(serverName: ServerName): void {
    const lanes = takeLane(serverName)
    if (lanes) track('fetching device lists', runLane(serverName, lanes))
  }

  /** @param first begins with what was claimed already; without it, with whatever is due */
  async function runLane(
    serverName: ServerName,
    lanes: Lanes,
    first: (isPressed: () => boolean) => Promise<Step> = (isPressed) => step(serverName, lanes, isPressed),
  ): Promise<void> {
    let verdict: Step = 'held back'
    try {
      const { failures } = await transport.backoffOf(serverName)
      const { run, isAwaited } = failures === 0 ? permits.usual : permits.probes
      verdict = await run(() => first(isAwaited))
      const { usual } = permits
      while (verdict === 'goes on') verdict = await usual.run(() => step(serverName, lanes, usual.isAwaited))
    } finally {
      leaveLane(serverName, lanes)
      if (lanes.again && verdict === 'nothing due') {
        lanes.again = false
        openLane(serverName)
      } else if (lanes.count === 0) loop.wake()
    }
  }

  async function step(serverName: ServerName, lanes: Lanes, isPressed: () => boolean): Promise<Step> {
    if (stopping.signal.aborted) return 'held back'
    const { failures, nextAttemptAt, retryAfterUntil } = await transport.backoffOf(serverName)
    const now = clock.now()
    if (Math.max(nextAttemptAt ?? 0, retryAfterUntil ?? 0) > now) return 'held back'
    if (failures > 0 && lanes.count > 1) return 'held back'
    const row = await leases.claimDue(store.db, serverName, { now, leaseUntil: now + LEASE_MS })
    if (!row) return 'nothing due'
    if (failures === 0 && lanes.count < FIRST_LANES) openLane(serverName)
    const verdict = await fetchList(parts, { row, held: holdLease(parts, row) }, { insist: false }, tools, isPressed)
    if (verdict === 'goes on') openLane(serverName)
    return verdict
  }

  /** Makes a server's lists due; what is heard of it within the interval counts once more at its end. */
  function resume(serverName: ServerName): void {
    flights.nudge(serverName)
    track('resuming a server', expedite(serverName))
    const cancel = clock.after(HEARD_INTERVAL_MS, () => {
      const again = heard.get(serverName)?.again
      heard.delete(serverName)
      if (again && !stopping.signal.aborted) resume(serverName)
    })
    heard.set(serverName, { cancel, again: false })
  }

  async function expedite(serverName: ServerName): Promise<void> {
    await store.transaction(async (tx) => {
      await waits.expediteServer(tx.db, serverName, clock.now())
      tx.wake([HEARD_FROM + serverName])
    })
    openLane(serverName)
  }

  return {
    async start() {
      // One process has the data folder to itself: whatever is leased there was begun by one that is gone.
      if (store.dialect === 'sqlite') await leases.endAllLeases(store.db)
      loop.start()
    },
    async stop() {
      stopping.abort()
      flights.stop()
      for (const { cancel } of heard.values()) cancel()
      cancelLook?.()
      await loop.stop()
      while (running.size > 0) await Promise.allSettled([...running])
    },
    wake(serverName) {
      waiting.add(serverName)
      openLane(serverName)
    },
    look: loop.wake,
    async fetchNow(userId, serverName, manner) {
      waiting.add(serverName)
      const lanes = takeLane(serverName)
      if (!lanes) {
        await waits.expedite(store.db, userId, 0)
        return false
      }
      const now = clock.now()
      let row: storage.LedgerRow | undefined
      try {
        row = await leases.claimOne(store.db, userId, { now, leaseUntil: now + LEASE_MS })
      } finally {
        if (!row) leaveLane(serverName, lanes)
      }
      if (!row) return false
      const claimed = { row, held: holdLease(parts, row) }
      track(
        'fetching a device list',
        // Where the lane never came to the fetch, the lease is to run out.
        runLane(serverName, lanes, (isPressed) => fetchList(parts, claimed, manner, tools, isPressed)).finally(
          claimed.held.end,
        ),
      )
      return true
    },
    heardFrom(serverName) {
      if (!waiting.has(serverName) || stopping.signal.aborted) return
      const before = heard.get(serverName)
      if (before) before.again = true
      else resume(serverName)
    },
    serverIsUp(serverName) {
      if (!stopping.signal.aborted) track('resuming a server', expedite(serverName))
    },
  }
}
