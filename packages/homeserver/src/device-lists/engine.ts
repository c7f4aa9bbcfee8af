import type { Edu } from '../matrix/federation.ts'
import { isServerName, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { WatchedClock } from '../platform/clock.ts'
import { createWorkerLoop } from '../platform/worker-loop.ts'
import type { StaleCount } from '../storage/device-list-counts.ts'
import { addTransitions, trimTransitions } from '../storage/device-list-history.ts'
import * as overview from '../storage/device-list-overview.ts'
import { dropRepeated, forgetWaiters } from '../storage/device-list-stream.ts'
import { doubtTracked } from '../storage/device-list-suspicion.ts'
import * as waits from '../storage/device-list-waits.ts'
import * as storage from '../storage/device-lists.ts'
import { inParts } from '../storage/parts.ts'
import type { Tx } from '../storage/store.ts'
import { createAudit } from './audit.ts'
import { createCounts } from './counts.ts'
import { raiseDoubts } from './doubts.ts'
import { type DeviceListNews, deviceListNews } from './news.ts'
import { createOutgoing, type Outgoing } from './outgoing.ts'
import type { EngineParts } from './ports.ts'
import { createRemoteKeys, type RemoteKeys } from './query.ts'
import { createRefresh, type OperatorOutcome, type RefreshOutcome } from './refresh.ts'
import { createResync } from './resync.ts'
import { createSightings, type Sightings } from './sightings.ts'
import {
  ASKED_FOR_MS,
  type ListFilter,
  type ListOverview,
  type ListStatus,
  listHistory,
  listOverview,
  listStatus,
} from './status.ts'
import { createSuspicion } from './suspicion.ts'
import { createUpdates } from './updates.ts'
import { createWatch, type Watch } from './watch.ts'

/** Users of whom one statement is made. */
const TRACKED_AT_ONCE = 500
/** Old rows are dropped this often (ms). */
const CLEAN_UP_INTERVAL_MS = 3_600_000
/** What lists went through is kept for so long (ms). */
const HISTORY_MS = 7 * 24 * 3_600_000
/** The newest part of the stream that is kept whole, so that `/keys/changes` is exact there. */
const KEPT_POSITIONS = 20_000

/** Everything the rest of the server sees of device lists. */
export type DeviceLists = Omit<Outgoing, 'source'> &
  Sightings &
  Omit<Watch, 'stopWatching'> & {
    start(): Promise<void>
    stop(): Promise<void>
    /** MSC2638, see `refresh.ts`. */
    refresh(requester: UserId, userId: UserId): Promise<RefreshOutcome>
    status(requester: UserId, userId: UserId): Promise<ListStatus | undefined>
    /** For `/keys/query`, see `query.ts`. */
    remoteKeys(requester: UserId, userIds: readonly UserId[], waitMs: number): Promise<RemoteKeys>
    /** The master key of a remote user as JSON text, as far as it is known. */
    remoteMasterKey(userId: UserId): Promise<string | null>
    /** For `/sync` and `/keys/changes`, see `news.ts`. */
    news(userId: UserId, after: number, upTo: number): Promise<DeviceListNews>
    /** EDUs of other servers; durable when it returns. Keyed by EDU type. */
    receive: Record<
      'm.device_list_update' | 'm.signing_key_update',
      (origin: ServerName, contents: readonly unknown[]) => Promise<void>
    >
    /** Remote users with whom a room is shared from now on. Part of the membership's own transaction. */
    startTracking(tx: Tx, userIds: readonly UserId[]): Promise<void>
    /** Remote users with whom no room is shared any more. Part of the membership's own transaction. */
    stopTracking(tx: Tx, userIds: readonly UserId[]): Promise<void>
    heardFrom(serverName: ServerName): void
    /** A server answers again, or has spoken, after requests to it have failed for so many milliseconds. */
    serverIsUp(serverName: ServerName, failedMs: number): Promise<void>
    /** A server has spoken that was silent for longer than `silence_suspect`. */
    serverIsBack(serverName: ServerName): Promise<void>
    /** A server signs with keys that have nothing to do with those it had. */
    serverWasRebuilt(serverName: ServerName): Promise<void>
    /** For operators: lists, the oldest doubt first. */
    list(filter: ListFilter): Promise<ListOverview[]>
    /** For operators: one list and what it went through lately. */
    history(userId: UserId): ReturnType<typeof listHistory>
    /** For operators: how many lists were stale since an epoch time (ms), see `counts.ts`. */
    staleSince(moment: number): Promise<StaleCount[]>
    /** For operators: fetches all lists of a server, or all stale ones, in the background. @returns how many */
    refreshMany(which: ServerName | 'stale'): Promise<number>
    /** For operators: the users whose lists are stale, of one server or all. */
    staleUsers(filter: { server?: string | undefined }): Promise<UserId[]>
    /** For operators: fetches these lists again, whoever waits for them, and tells how each ended. */
    refreshByOperator(userIds: readonly UserId[]): Promise<OperatorOutcome[]>
    /** For the sender of federation transactions. */
    outgoing: { destinations(): Promise<ServerName[]>; take(destination: ServerName, limit: number): Promise<Batch> }
  }

type Batch = { id: string; edus: Edu[]; delivered(tx: Tx): Promise<void> }

/** @param wakeSender called with destinations that are owed updates of our users */
export function createDeviceLists(
  parts: EngineParts & { clock: WatchedClock; wakeSender: (destinations: readonly ServerName[]) => void },
): DeviceLists {
  const { store, clock, sharedRooms, log, settings } = parts
  const suspicion = createSuspicion(parts, {
    wake: (serverName) => resync.wake(serverName),
    look: () => resync.look(),
  })
  const resync = createResync(parts, suspicion.suspect)
  const audit = createAudit(parts, resync)
  const watch = createWatch(parts)
  const counts = createCounts(parts)
  const refresh = createRefresh(parts, resync)
  const updates = createUpdates(parts, resync)
  const { source, ...outgoing } = createOutgoing(parts)

  const cleaner = createWorkerLoop({
    clock,
    onError: (error) => log.error({ err: error }, 'cleaning device lists up failed'),
    async pass() {
      const now = clock.now()
      await trimTransitions(store.db, now - HISTORY_MS)
      await forgetWaiters(store.db, now - ASKED_FOR_MS)
      await store.transaction((tx) => storage.forgetUntracked(tx.db, now - ASKED_FOR_MS))
      await dropRepeated(store.db, (await store.position()) - KEPT_POSITIONS)
      return { more: false, nextAt: now + CLEAN_UP_INTERVAL_MS }
    },
  })

  return {
    ...outgoing,
    outgoing: source,
    ...createSightings(parts, resync),
    ...watch,
    async start() {
      const wereAway = await suspicion.takeStock()
      await resync.start()
      if (wereAway) audit.knock()
      audit.start()
      suspicion.alive.start()
      counts.loop.start()
      cleaner.start()
    },
    async stop() {
      const workers = [resync, audit, suspicion.alive, counts.loop, cleaner]
      await Promise.all([...workers.map((one) => one.stop()), watch.stopWatching()])
    },
    refresh: refresh.refresh,
    status: (requester, userId) => listStatus(parts, requester, userId),
    remoteKeys: createRemoteKeys(parts, refresh),
    async remoteMasterKey(userId) {
      return (await storage.snapshotRows(store.db, [userId])).get(userId)?.master_key ?? null
    },
    news: (userId, after, upTo) => deviceListNews(store.db, sharedRooms, userId, after, upTo),
    receive: {
      'm.device_list_update': updates.receiveDeviceListUpdates,
      'm.signing_key_update': updates.receiveSigningKeyUpdates,
    },
    async startTracking(tx, userIds) {
      const servers = new Set<ServerName>()
      // A room may have more members than one statement has room for.
      for (const some of inParts(userIds, TRACKED_AT_ONCE)) {
        const known = await storage.lockedRows(tx.db, some)
        const joined = some.filter((userId) => known.get(userId)?.tracked !== 1)
        await raiseDoubts(tx, joined, { reason: 'room joined', now: clock.now(), needed: true })
        if (joined.length > 0) await storage.setTracked(tx.db, joined)
        await addTransitions(tx.db, joined, { at: clock.now(), event: 'tracked', detail: null })
        for (const userId of joined) servers.add(serverNameOf(userId))
      }
      tx.afterCommit(() => {
        for (const serverName of servers) resync.wake(serverName)
      })
    },
    async stopTracking(tx, userIds) {
      for (const some of inParts(userIds, TRACKED_AT_ONCE)) {
        await storage.setUntracked(tx.db, some, clock.now())
      }
      await addTransitions(tx.db, userIds, { at: clock.now(), event: 'untracked', detail: null })
    },
    heardFrom: resync.heardFrom,
    async serverIsUp(serverName, failedMs) {
      if (settings.silenceSuspect > 0 && failedMs > settings.silenceSuspect)
        await store.transaction((tx) => suspicion.suspect(tx, serverName, 'server was away'))
      resync.serverIsUp(serverName)
    },
    serverIsBack: audit.auditSoon,
    serverWasRebuilt: (serverName) => store.transaction((tx) => suspicion.suspect(tx, serverName, 'server rebuilt')),
    list: (filter) => listOverview(parts, filter),
    history: (userId) => listHistory(parts, userId),
    staleSince: counts.since,
    async refreshMany(which) {
      const now = clock.now()
      const { lists, servers } = await store.transaction((tx) =>
        which === 'stale'
          ? waits.expediteAll(tx.db, now)
          : doubtTracked(tx.db, { serverName: which, reason: 'refresh', now }),
      )
      for (const serverName of servers) resync.wake(serverName)
      return lists
    },
    async staleUsers({ server }) {
      const filter = { serverName: isServerName(server) ? server : undefined, staleOnly: true, limit: 100_000 }
      return (await overview.ledgerOverview(store.db, filter)).map((row) => row.user_id)
    },
    refreshByOperator: refresh.refreshByOperator,
  }
}
