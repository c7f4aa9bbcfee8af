import type { ServerName } from '../matrix/ids.ts'
import { backoffDelay } from '../platform/backoff.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import { claimProbe, destinationRow, endFailures, writeDestination } from '../storage/destinations.ts'
import type { Store } from '../storage/store.ts'

/** What holds requests to a destination back; times in epoch ms. */
type Backoff = {
  failures: number
  failingSince: number | null
  nextAttemptAt: number | null
  retryAfterUntil: number | null
  lastError: string | null
}

/** Whether a request may go out now; if not, from when on (epoch ms). */
type Permission = { go: true } | { go: false; retryAt: number }

export type Destinations = {
  backoffOf(serverName: ServerName): Promise<Backoff>
  /** Asks for leave to send a request; for a server that has failed this claims the one probe. */
  mayRequest(serverName: ServerName, urgency: 'normal' | 'insist', timeoutMs: number): Promise<Permission>
  /** It answered: all back-off ends but an unexpired wait that it asked for. */
  recordSuccess(serverName: ServerName): Promise<void>
  /** It did not answer, or with an error of its own. @param waitMs what it asked for, if it did */
  recordFailure(serverName: ServerName, detail: string, waitMs?: number): Promise<void>
  /** It is up and asks us to wait. @param waitMs `undefined`: it does not say for how long */
  recordLimit(serverName: ServerName, waitMs: number | undefined): Promise<void>
  /** It has made an authenticated request: it is back. */
  heardFrom(serverName: ServerName): Promise<void>
  /**
   * `listener` hears of every destination whose back-off ends, and for how long requests had failed (ms). What ended it waits for
   * what the listener returns.
   */
  onUp(listener: (serverName: ServerName, failedMs: number) => unknown): void
  /** `listener` hears of every server that speaks again after longer than `silenceSuspect`. */
  onBack(listener: (serverName: ServerName) => unknown): void
}

/** How often a server that is fine is written down (ms); whether it is fine is asked of memory. */
const NOTED_EVERY_MS = 60_000
const NOTED_SERVERS = 10_000
/** For this long a failing server is tried at short intervals (ms). */
const EARLY_MS = 10 * 60_000
/** The wait for a server that limits us and does not say for how long (ms). */
const UNSPOKEN_LIMIT_MS = 5_000

/** Begins the keys by which processes tell each other that a server is held back. */
const HELD_BACK = 'held back: '

const NONE: Backoff = { failures: 0, failingSince: null, nextAttemptAt: null, retryAfterUntil: null, lastError: null }

export type DestinationSettings = {
  retryBase: number
  retryCapEarly: number
  retryCapWaited: number
  /** Silence longer than this is told of; 0: never. */
  silenceSuspect: number
}

/** Durable back-off per destination. @param settings milliseconds */
export function createDestinations(parts: {
  store: Store
  clock: Clock
  random: Random
  settings: DestinationSettings
}): Destinations {
  const { store, clock, random, settings } = parts
  // Servers that had no back-off when last looked at, and when that was written down. Others are asked of the database. What another
  // process finds out takes them off.
  const fine = createBoundedCache<ServerName, number>(NOTED_SERVERS)
  // When each server spoke last, and when that was written down. What other processes heard is read where it matters.
  const heard = createBoundedCache<ServerName, { at: number; notedAt: number }>(NOTED_SERVERS)
  const upListeners: ((serverName: ServerName, failedMs: number) => unknown)[] = []
  const backListeners: ((serverName: ServerName) => unknown)[] = []
  let told = 0
  store.notifier.hearOthers((keys) => {
    if (!keys || keys.some((key) => key.startsWith(HELD_BACK))) told++
    if (!keys) return fine.clear()
    for (const key of keys) if (key.startsWith(HELD_BACK)) fine.delete(key.slice(HELD_BACK.length) as ServerName)
  })

  /** Writes what holds a server back, and has all processes know. */
  async function holdBack(serverName: ServerName, columns: Parameters<typeof writeDestination>[2]): Promise<void> {
    await store.transaction(async (tx) => {
      await writeDestination(tx.db, serverName, columns)
      tx.wake([HELD_BACK + serverName])
    })
  }

  async function backoffOf(serverName: ServerName): Promise<Backoff> {
    if (fine.has(serverName)) return NONE
    const row = await destinationRow(store.db, serverName)
    if (!row) return NONE
    return {
      failures: row.failures,
      failingSince: row.failing_since,
      nextAttemptAt: row.next_attempt_at,
      retryAfterUntil: row.retry_after_until,
      lastError: row.last_error,
    }
  }

  /** Ends the back-off and says so; writes at most once in a while for a server that has none. */
  async function noteUp(serverName: ServerName, column: 'last_success_at' | 'last_heard_at'): Promise<void> {
    const now = clock.now()
    const noted = column === 'last_heard_at' ? heard.get(serverName)?.notedAt : fine.get(serverName)
    const isNoted = noted !== undefined && Math.abs(now - noted) < NOTED_EVERY_MS
    if (isNoted && fine.has(serverName)) return
    const from = told
    const before = fine.has(serverName) ? NONE : await backoffOf(serverName)
    // Of many that hear from it at the same time, one ends the back-off.
    const cameUp = before.failures > 0 && (await endFailures(store.db, serverName))
    await writeDestination(store.db, serverName, {
      failures: 0,
      failing_since: null,
      next_attempt_at: null,
      last_error: null,
      [column]: now,
    })
    if (column === 'last_heard_at') heard.set(serverName, { at: now, notedAt: now })
    // Unless another process has found out otherwise meanwhile.
    if ((before.retryAfterUntil ?? 0) <= now && told === from) fine.set(serverName, now)
    if (cameUp) for (const listener of upListeners) await listener(serverName, now - (before.failingSince ?? now))
  }

  /** Whether a server that speaks now was silent for long. What other processes heard counts too. */
  async function wasSilent(serverName: ServerName): Promise<boolean> {
    const now = clock.now()
    const isLong = (at: number) => settings.silenceSuspect > 0 && now - at > settings.silenceSuspect
    const last = heard.get(serverName)
    if (last && !isLong(last.at)) {
      last.at = now
      return false
    }
    const row = await destinationRow(store.db, serverName)
    heard.set(serverName, { at: now, notedAt: row?.last_heard_at ?? 0 })
    const at = Math.max(last?.at ?? 0, row?.last_heard_at ?? 0)
    return at > 0 && isLong(at)
  }

  return {
    backoffOf,
    async mayRequest(serverName, urgency, timeoutMs) {
      const { failures, nextAttemptAt, retryAfterUntil } = await backoffOf(serverName)
      const now = clock.now()
      if ((retryAfterUntil ?? 0) > now) return { go: false, retryAt: retryAfterUntil! }
      if (failures === 0 || urgency === 'insist') return { go: true }
      if ((nextAttemptAt ?? 0) > now) return { go: false, retryAt: nextAttemptAt! }
      const until = now + timeoutMs
      return (await claimProbe(store.db, serverName, now, until)) ? { go: true } : { go: false, retryAt: until }
    },
    recordSuccess: (serverName) => noteUp(serverName, 'last_success_at'),
    async heardFrom(serverName) {
      const isBack = await wasSilent(serverName)
      await noteUp(serverName, 'last_heard_at')
      if (isBack) for (const listener of backListeners) await listener(serverName)
    },
    async recordFailure(serverName, detail, waitMs) {
      fine.delete(serverName)
      const { failures, failingSince } = await backoffOf(serverName)
      const now = clock.now()
      const since = failingSince ?? now
      const capMs = now - since < EARLY_MS ? settings.retryCapEarly : settings.retryCapWaited
      const delay = backoffDelay({ baseMs: settings.retryBase, capMs }, failures + 1, random.fraction())
      await holdBack(serverName, {
        failures: failures + 1,
        failing_since: since,
        next_attempt_at: now + delay,
        last_error: detail,
        ...(waitMs === undefined ? {} : { retry_after_until: now + waitMs }),
      })
    },
    async recordLimit(serverName, waitMs = UNSPOKEN_LIMIT_MS) {
      fine.delete(serverName)
      await holdBack(serverName, { retry_after_until: clock.now() + waitMs })
    },
    onUp: (listener) => void upListeners.push(listener),
    onBack: (listener) => void backListeners.push(listener),
  }
}
