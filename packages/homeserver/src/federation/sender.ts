import { createHash } from 'node:crypto'
import type { Edu, FederationAnswer } from '../matrix/federation.ts'
import type { ServerName } from '../matrix/ids.ts'
import { isObject, type JsonObject } from '../matrix/json.ts'
import { backoffDelay } from '../platform/backoff.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import type { Clock } from '../platform/clock.ts'
import type { Logger } from '../platform/logger.ts'
import { opaqueId, type Random } from '../platform/random.ts'
import { createPatientSemaphore } from '../platform/semaphore.ts'
import { createWorkerLoop } from '../platform/worker-loop.ts'
import type { Store, Tx } from '../storage/store.ts'
import type { FederationClient } from './client.ts'
import type { Destinations } from './destinations.ts'
import { createSenderLeases } from './sender-leases.ts'

/** A durable queue of EDUs, kept by a feature. */
export type EduSource = {
  /** Destinations with something in the queue. */
  destinations(): Promise<ServerName[]>
  /** The next EDUs for a destination; `id` is the same for the same EDUs; `delivered` takes them off the queue. */
  take(destination: ServerName, limit: number): Promise<Batch & { edus: Edu[] }>
}

/** The same for events. */
export type PduSource = {
  destinations(): Promise<ServerName[]>
  take(destination: ServerName, limit: number): Promise<Batch & { pdus: JsonObject[] }>
}

type Batch = { id: string; delivered(tx: Tx): Promise<void> }

export type Sender = {
  start(): void
  stop(): Promise<void>
  /** A hint that something is queued for these destinations. */
  wake(destinations: readonly ServerName[]): void
}

/** Server-server API, "Transactions": the most PDUs and EDUs in one. */
const MAX_PDUS = 50
const MAX_EDUS = 100
const TIMEOUT_MS = 60_000
/** Transactions in flight at the same time, and together with those that hang. */
const PARALLEL = { permits: 50, patienceMs: 5_000, most: 1_000 }
/** A batch that a destination calls bad this often is dropped: it would hold up everything behind it for ever. */
const REFUSALS = 5
/** How long a destination rests that answers, but with a refusal. */
const REFUSED_BACKOFF = { baseMs: 2_000, capMs: 10 * 60_000 }
/** How long it rests after an error of our own (ms). */
const PAUSE_AFTER_ERROR_MS = 5_000
/** How soon a destination is looked at again that another process has (ms). */
const LEASED_ELSEWHERE_MS = 1_000

/**
 * Delivers what is queued, one transaction at a time to a destination. The queues are in the database: after a crash, or
 * a destination's downtime, the same batch goes out again under the same transaction ID.
 */
export function createSender(parts: {
  store: Store
  clock: Clock
  random: Random
  log: Logger
  serverName: ServerName
  client: FederationClient
  destinations: Destinations
  events: PduSource
  sources: readonly EduSource[]
}): Sender {
  const { store, clock, random, log, serverName, client, destinations, events, sources } = parts
  const leases = createSenderLeases(store, clock, opaqueId(random))
  const permits = createPatientSemaphore(clock, PARALLEL)
  const busy = new Map<ServerName, { again: boolean }>()
  const running = new Set<Promise<void>>()
  const stopping = new AbortController()
  // Of this process: another one, which takes the destination over, finds out for itself.
  const refusals = createBoundedCache<ServerName, { count: number; from: number; until: number }>(10_000)

  // Looks for what is queued at the start, and for destinations whose wait is over.
  const loop = createWorkerLoop({
    clock,
    lookEveryMs: store.lookEveryMs,
    onError: (error) => log.error({ err: error }, 'looking for what is queued failed'),
    async pass() {
      const queued = new Set((await Promise.all([events, ...sources].map((source) => source.destinations()))).flat())
      let nextAt: number | null = null
      for (const destination of queued) {
        if (busy.has(destination)) continue
        const at = await restsUntil(destination)
        if (at <= clock.now()) begin(destination)
        else nextAt = Math.min(nextAt ?? at, at)
      }
      return { more: false, nextAt }
    },
  })

  function begin(destination: ServerName): void {
    if (stopping.signal.aborted) return
    const state = busy.get(destination)
    if (state) {
      state.again = true
      return
    }
    const now = { again: false }
    busy.set(destination, now)
    const work = drain(destination, now)
      .catch((error: unknown) => {
        log.error({ err: error, destination }, 'sending failed')
        rest(destination, refusals.get(destination)?.count ?? 0, PAUSE_AFTER_ERROR_MS)
      })
      .finally(() => {
        running.delete(work)
        busy.delete(destination)
        // Whatever is left waits for the destination, or came in at the last moment.
        if (!stopping.signal.aborted) loop.wake()
      })
    running.add(work)
  }

  async function drain(destination: ServerName, state: { again: boolean }): Promise<void> {
    if ((await restsUntil(destination)) > clock.now()) return
    try {
      do {
        state.again = false
        while (!stopping.signal.aborted && (await permits.run(() => sendLeased(destination))) === 'delivered');
      } while (state.again && !stopping.signal.aborted && (await restsUntil(destination)) <= clock.now())
    } finally {
      await leases.giveBack(destination)
    }
  }

  /** Of several processes, one sends to a destination at a time: else events could arrive in another order. */
  async function sendLeased(destination: ServerName): Promise<'delivered' | 'empty' | 'failed'> {
    const sent = await leases.hold(destination, () => sendNext(destination))
    if (sent !== 'elsewhere') return sent
    rest(destination, refusals.get(destination)?.count ?? 0, LEASED_ELSEWHERE_MS)
    return 'failed'
  }

  async function restsUntil(destination: ServerName): Promise<number> {
    const { nextAttemptAt, retryAfterUntil } = await destinations.backoffOf(destination)
    return Math.max(nextAttemptAt ?? 0, retryAfterUntil ?? 0, refusedUntil(destination))
  }

  function rest(destination: ServerName, count: number, forMs: number): void {
    const from = clock.now()
    refusals.set(destination, { count, from, until: from + forMs })
  }

  /** A rest that has yet to begin is one of before the clock was set back: nobody can tell how much of it is left. */
  function refusedUntil(destination: ServerName): number {
    const refusal = refusals.get(destination)
    return refusal && refusal.from <= clock.now() ? refusal.until : 0
  }

  async function sendNext(destination: ServerName): Promise<'delivered' | 'empty' | 'failed'> {
    const { pdus, edus, batches } = await takeNext(destination)
    if (batches.length === 0) return 'empty'
    const id = batches.map((batch) => batch.id).join(';')
    const txnId = createHash('sha256').update(`${serverName} ${destination} ${id}`).digest('base64url')
    const answer = await client.request(destination, {
      method: 'PUT',
      path: `/_matrix/federation/v1/send/${txnId}`,
      body: {
        origin: serverName,
        origin_server_ts: clock.now(),
        pdus,
        edus,
      },
      timeoutMs: TIMEOUT_MS,
      signal: stopping.signal,
    })
    const verdict = verdictOf(destination, answer)
    if (verdict === 'failed') return 'failed'
    if (verdict === 'drop')
      log.warn(
        { destination, pdus: pdus.length, edus: edus.length },
        'a destination does not take what is queued; dropped',
      )
    await store.transaction(async (tx) => {
      for (const batch of batches) await batch.delivered(tx)
    })
    return 'delivered'
  }

  async function takeNext(
    destination: ServerName,
  ): Promise<{ pdus: JsonObject[]; edus: Edu[]; batches: readonly Batch[] }> {
    const ofEvents = await events.take(destination, MAX_PDUS)
    const batches: Batch[] = ofEvents.pdus.length > 0 ? [ofEvents] : []
    const edus: Edu[] = []
    for (const source of sources) {
      const batch = await source.take(destination, MAX_EDUS - edus.length)
      if (batch.edus.length > 0) batches.push(batch)
      edus.push(...batch.edus)
      if (edus.length >= MAX_EDUS) break
    }
    return { pdus: ofEvents.pdus, edus, batches }
  }

  /** A destination that answers but does not take the batch rests too; a batch that it calls bad is given up in the end. */
  function verdictOf(destination: ServerName, answer: FederationAnswer): 'delivered' | 'failed' | 'drop' {
    if (answer.kind === 'failure' && answer.failure === 'denied') return 'drop'
    if (isSuccess(answer)) {
      refusals.delete(destination)
      return 'delivered'
    }
    if (!isRefusal(answer)) return 'failed'
    const count = (refusals.get(destination)?.count ?? 0) + 1
    const bad = answer.kind === 'answer' && (answer.status === 400 || answer.status === 413)
    if (bad && count >= REFUSALS) {
      refusals.delete(destination)
      return 'drop'
    }
    rest(destination, count, backoffDelay(REFUSED_BACKOFF, count, random.fraction()))
    return 'failed'
  }

  destinations.onUp((destination) => {
    refusals.delete(destination)
    begin(destination)
  })
  return {
    start: loop.start,
    async stop() {
      stopping.abort()
      await loop.stop()
      while (running.size > 0) await Promise.allSettled([...running])
    },
    wake(names) {
      for (const name of names) begin(name)
    },
  }
}

/** What answers 200 but not with an object, such as a proxy's page, has not taken anything. */
const isSuccess = (answer: FederationAnswer) =>
  answer.kind === 'answer' && answer.status === 200 && isObject(answer.body)

/** Whether the destination is up and does not take the batch: what is noted for its back-off says nothing of that. */
const isRefusal = (answer: FederationAnswer) =>
  answer.kind === 'answer' ? answer.status < 500 && answer.status !== 429 : answer.failure === 'too_large'
