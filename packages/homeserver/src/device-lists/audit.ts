import type { FederationAnswer } from '../matrix/federation.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { entriesOf, isObject } from '../matrix/json.ts'
import { sleep } from '../platform/clock.ts'
import { createPatientSemaphore } from '../platform/semaphore.ts'
import { createWorkerLoop } from '../platform/worker-loop.ts'
import * as storage from '../storage/device-list-audits.ts'
import { lockedRows } from '../storage/device-lists.ts'
import { inParts } from '../storage/parts.ts'
import { raiseDoubt } from './doubts.ts'
import type { EngineParts } from './ports.ts'
import type { Resync } from './resync.ts'
import { digestOf, isCrossSigningKey, readDeviceKeys } from './snapshot.ts'

export type Audit = {
  start(): void
  stop(): Promise<void>
  /** Compares all lists of a server as soon as may be. */
  auditSoon(serverName: ServerName): Promise<void>
  /** Makes one authenticated request, an audit, to each server with whose users a room is shared; returns at once. */
  knock(): void
}

/** Users in one request, and how many of those due are looked at to find the ones that matter most. */
const BATCH = 200
const CANDIDATES = 1_000
/** Servers audited at the same time, and together with those that hang. */
const PARALLEL = { permits: 10, patienceMs: 5_000, most: 200 }
/** Lists that are looked at to find the servers that are due. */
const LOOKED_AT = 2_000
const TIMEOUT_MS = 30_000
const MAX_BYTES = 16 * 1024 * 1024
/** A server gets at most one request in this time (ms). */
const PACE_MS = 1_000
/** Other processes and doubts that end make audits due: they are looked for this often (ms). */
const LOOK_INTERVAL_MS = 10 * 60_000
/** How long a batch is left to whoever took it (ms). */
const CLAIM_MS = 60_000
/** After a server could not be asked, its audit rests for at most this long (ms). */
const REST_MS = 10 * 60_000
/** Knocking after a downtime is spread over up to this time, and so much per server (ms). */
const KNOCK_SPREAD_MS = 60_000
const KNOCK_EACH_MS = 100
/** Somebody was active lately if within this time (ms). */
const ACTIVE_MS = 7 * 24 * 3_600_000

/**
 * Compares lists with their owners' servers from time to time, so that no list stays wrong for longer than
 * `audit_interval`, whatever was lost. Many users go into one `POST /user/keys/query`; only where its digest differs from
 * ours a fetch follows.
 */
export function createAudit(parts: EngineParts, resync: Pick<Resync, 'wake'>): Audit {
  const { store, clock, random, log, settings, transport, sharedRooms } = parts
  const interval = settings.auditInterval
  const permits = createPatientSemaphore(clock, PARALLEL)
  const stopping = new AbortController()
  let knocking: Promise<void> | undefined

  const loop = createWorkerLoop({
    clock,
    onError: (error) => log.error({ err: error }, 'auditing device lists failed'),
    async pass() {
      const servers = await storage.serversToAudit(store.db, clock.now(), LOOKED_AT)
      await Promise.all(servers.map((server) => permits.run(() => auditOne(server))))
      const now = clock.now()
      const next = (await storage.nextAudit(store.db)) ?? Number.POSITIVE_INFINITY
      return { more: false, nextAt: Math.max(now + PACE_MS, Math.min(next, now + LOOK_INTERVAL_MS)) }
    },
  })

  /** Audits one batch of a server's lists: those that are due, and those that will be before long. */
  async function auditOne(serverName: ServerName, everything = false): Promise<void> {
    if (stopping.signal.aborted) return
    const now = clock.now()
    const before = everything ? Number.MAX_SAFE_INTEGER : now + Math.round(interval / 8)
    const candidates = await storage.listsToAudit(store.db, serverName, before, CANDIDATES)
    const chosen = await mostImportant(candidates)
    if (chosen.length === 0) return
    const ids = chosen.map((list) => list.user_id)
    const ours = await storage.claimAudits(store.db, ids, before, now + CLAIM_MS)
    const lists = chosen.filter((list) => ours.has(list.user_id))
    if (lists.length > 0) await compare(serverName, lists)
  }

  /** Lists in encrypted rooms with active members of ours go first. */
  async function mostImportant(lists: storage.AuditedList[]): Promise<storage.AuditedList[]> {
    if (lists.length <= BATCH) return lists
    const ids = lists.map((list) => list.user_id)
    const active = new Set<UserId>()
    for (const part of inParts(ids, 500)) {
      const some = await sharedRooms.active(store.db, part, clock.now() - ACTIVE_MS)
      for (const userId of some) active.add(userId)
    }
    const rank = (list: storage.AuditedList) => (active.has(list.user_id) ? 0 : 1)
    return lists.toSorted((a, b) => rank(a) - rank(b)).slice(0, BATCH)
  }

  async function compare(serverName: ServerName, lists: readonly storage.AuditedList[]): Promise<void> {
    const answer = await transport.request(serverName, {
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/query',
      body: { device_keys: Object.fromEntries(lists.map(({ user_id }) => [user_id, []])) },
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
      signal: stopping.signal,
    })
    if (stopping.signal.aborted) return
    const told = digestsIn(answer)
    if (told === 'unreachable') {
      await putOff(serverName, lists, ('retryAt' in answer && answer.retryAt) || 0)
      return
    }
    const right = lists.filter(({ user_id: id, digest }) => told !== 'no use' && told(id) === digest)
    const now = clock.now()
    await storage.setAudits(
      store.db,
      right.map((list) => list.user_id),
      { audit_at: nextAuditAt(now, interval, random.fraction()), confirmed_at: now },
    )
    const doubtful = lists.filter((list) => !right.includes(list))
    if (doubtful.length > 0) await doubt(serverName, doubtful)
  }

  /** A server that cannot be asked is asked later; lists that nothing has confirmed for the whole interval are fresh no longer. */
  async function putOff(serverName: ServerName, lists: readonly storage.AuditedList[], retryAt: number): Promise<void> {
    const now = clock.now()
    const isOverdue = (list: storage.AuditedList) => (list.confirmed_at ?? 0) + interval <= now
    const overdue = lists.filter(isOverdue)
    const rest = lists.filter((list) => !isOverdue(list))
    const nextOverdue = Math.min(...rest.map((list) => (list.confirmed_at ?? 0) + interval))
    const audit_at = Math.min(Math.max(now + Math.min(REST_MS, Math.round(interval / 8)), retryAt), nextOverdue)
    await storage.setAudits(
      store.db,
      rest.map((list) => list.user_id),
      { audit_at },
    )
    if (overdue.length > 0) await doubt(serverName, overdue)
  }

  /** What was compared may have changed since; then it is not in doubt for this. */
  async function doubt(serverName: ServerName, lists: readonly storage.AuditedList[]): Promise<void> {
    const compared = new Map(lists.map((list) => [list.user_id, list.digest]))
    await store.transaction(async (tx) => {
      const now = clock.now()
      for (const [userId, row] of await lockedRows(tx.db, [...compared.keys()])) {
        if (row.digest !== compared.get(userId) || row.tracked === 0) continue
        await raiseDoubt(tx, userId, { reason: 'audit', now, needed: true })
      }
      tx.afterCommit(() => resync.wake(serverName))
    })
  }

  async function knockAtAll(): Promise<void> {
    const servers = await storage.trackedServers(store.db)
    const spread = Math.min(KNOCK_SPREAD_MS, servers.length * KNOCK_EACH_MS)
    await Promise.all(
      servers.map(async (serverName) => {
        if (await sleep(clock, Math.round(random.fraction() * spread), stopping.signal))
          await permits.run(() => auditOne(serverName, true))
      }),
    )
  }

  return {
    start() {
      if (interval > 0) loop.start()
    },
    async stop() {
      stopping.abort()
      await Promise.all([loop.stop(), knocking])
    },
    async auditSoon(serverName) {
      if (interval === 0 || stopping.signal.aborted) return
      await storage.auditServer(store.db, serverName, clock.now())
      loop.wake()
    },
    knock() {
      knocking = knockAtAll().catch((error: unknown) => log.error({ err: error }, 'knocking at other servers failed'))
    },
  }
}

/**
 * When a list is audited next (epoch ms): within the interval, spread so that not all come at the same time.
 * @param fraction a random number in [0, 1)
 */
export function nextAuditAt(now: number, interval: number, fraction: number): number {
  return Math.round(now + interval * (0.75 + 0.25 * fraction))
}

/**
 * Reads the answer to an audit. Server-server API, "POST /user/keys/query".
 * @returns the digest by user, `undefined` where what it says of them is malformed; `no use` from a server that cannot be asked
 * like this, whose lists are fetched instead
 */
function digestsIn(answer: FederationAnswer): 'unreachable' | 'no use' | ((userId: UserId) => string | undefined) {
  if (answer.kind === 'failure') return answer.failure === 'too_large' ? 'no use' : 'unreachable'
  const { status, body } = answer
  if (status === 403 || status === 429 || status >= 500) return 'unreachable'
  if (status !== 200 || !isObject(body)) return 'no use'
  const members = (name: string) => new Map(isObject(body[name]) ? entriesOf(body[name]) : [])
  const [devices, masters, selfSigning] = ['device_keys', 'master_keys', 'self_signing_keys'].map(members)
  return (userId) => {
    const deviceKeys = new Map<string, Record<string, unknown>>()
    for (const [deviceId, keys] of entriesOf(devices!.get(userId))) {
      const read = readDeviceKeys(keys, userId, deviceId, undefined)
      if (!read) return undefined
      deviceKeys.set(deviceId, read)
    }
    const key = (of: Map<string, unknown>, usage: 'master' | 'self_signing') => {
      const given = of.get(userId)
      return isCrossSigningKey(given, userId, usage) ? given : null
    }
    return digestOf({
      deviceKeys,
      masterKey: key(masters!, 'master'),
      selfSigningKey: key(selfSigning!, 'self_signing'),
    })
  }
}
