import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { completeSettings, type PartialSettings } from './config/defaults.ts'
import { addressText } from './config/print.ts'
import type { Settings } from './config/settings.ts'
import type { Context } from './context.ts'
import { createDeviceLists } from './device-lists/engine.ts'
import type { SharedRooms } from './device-lists/tracking.ts'
import { createDevices } from './devices/devices.ts'
import { createEphemeral } from './ephemeral/ephemeral.ts'
import { createFederation } from './federation/federation.ts'
import { loadOldKeys, loadSigningKey } from './federation/own-keys.ts'
import { createRemoteProfiles } from './federation/remote-profiles.ts'
import { createSender } from './federation/sender.ts'
import { createTransactions, type EduHandler } from './federation/transactions.ts'
import { type App, createApp } from './http/app.ts'
import { type Listeners, openListeners } from './http/listeners.ts'
import { createOperatorApp } from './http/ops/index.ts'
import { createMetrics, noMetrics } from './http/ops/metrics.ts'
import { createKeyBackup } from './key-backup/key-backup.ts'
import { parseServerName, type ServerName, type UserId } from './matrix/ids.ts'
import { createMedia } from './media/media.ts'
import { type Certificate, readCertificate, selfMadeCertificate } from './platform/certificate.ts'
import { systemClock, watchedClock } from './platform/clock.ts'
import { lockDataFolder } from './platform/data-folder.ts'
import { createFileFolder } from './platform/file-folder.ts'
import { createLogger } from './platform/logger.ts'
import type { Platform } from './platform/platform.ts'
import { opaqueId, systemRandom } from './platform/random.ts'
import { type SocketAddress, socketAddress } from './platform/socket-address.ts'
import { createSystemNetwork } from './platform/system-network.ts'
import { createWorkerLoop } from './platform/worker-loop.ts'
import { roomFacts } from './rooms/room-facts.ts'
import { createRooms } from './rooms/rooms.ts'
import { sharedRooms as roomsShared } from './rooms/shared-rooms.ts'
import { guestsAmong, isActiveAccount } from './storage/accounts.ts'
import { type Backend, postgresBackend, sqliteBackend } from './storage/dialect.ts'
import { oneTimeKeyCounts, unusedFallbackKeyTypes } from './storage/one-time-keys.ts'
import { settleServerName } from './storage/server-info.ts'
import { cleanUpLimits } from './storage/shared-limits.ts'
import { openStore, type Tx } from './storage/store.ts'
import { createOldSync } from './sync/old-sync.ts'
import type { SyncSources } from './sync/ports.ts'
import { createSync } from './sync/sync.ts'
import { createToDevice } from './to-device/to-device.ts'
import { createUsers } from './users/users.ts'

export type { PartialSettings } from './config/defaults.ts'

/** A homeserver: built, and running between `start` and `stop`. Nothing of it is shared with another one. */
export type Homeserver = {
  settings: Settings
  ctx: Context
  /** All routes; `inject()` works without listening. */
  app: App
  /** Whether this start was the first on its data: the server name is for good from now on. */
  firstStart: boolean
  /** Where clients reach it. */
  baseUrl(): string
  /** Where it listens, with the ports that the system chose; `undefined` for what it does not listen on. */
  listening(): { plain: string | undefined; tls: string | undefined; metrics: string | undefined }
  /** Does the background work, without listening to anybody. */
  startWorkers(): Promise<void>
  /** Listens, and does the background work. */
  start(): Promise<void>
  /** Reads the certificate files of the settings again. */
  reloadCertificate(): Promise<void>
  /** Ends what is waiting with what there is, finishes what is running, closes everything. */
  stop(): Promise<void>
}

/** What tests, demonstrations and embedding programs may put in the place of the usual parts. */
export type Overrides = {
  platform?: Partial<Platform>
  sharedRooms?: SharedRooms
  /** The database, instead of the one in the settings; the data folder is then neither made nor locked. */
  backend?: Backend
}

/** The data belongs to another server name. The message says how to start over. */
export class OtherServerName extends Error {}

/** What still runs when the server stops is cut off after this time (ms); the whole stop stays under ten seconds. */
const STOP_GRACE_MS = 5_000
const CLEAN_UP_INTERVAL_MS = 3_600_000

/**
 * Builds a homeserver without starting it: the composition root, whose consts stand in the order of their dependencies.
 * @param given settings; what is left out is as it is by default
 * @throws if the data folder is in use, the data belong to another server name, or a file of the settings is not usable
 */
export async function createHomeserver(given: PartialSettings = {}, overrides: Overrides = {}): Promise<Homeserver> {
  const settings = completeSettings(given)
  const { serverName, dataDir, rateLimits } = settings
  const certificates = settings.federationCaFile && (await readFile(settings.federationCaFile, 'utf8'))
  const network = createSystemNetwork({ certificates })
  const outside: Platform = {
    clock: systemClock(),
    random: systemRandom(),
    network,
    log: overrides.platform?.log ?? createLogger({ level: settings.logLevel, format: settings.logFormat }),
    ...overrides.platform,
  }
  const { random, log } = outside
  const clock = watchedClock(outside.clock)
  const platform = { ...outside, clock }
  const folder = overrides.backend ? undefined : await lockDataFolder(dataDir)
  const backend =
    overrides.backend ??
    (settings.databaseUrl ? await postgresBackend(settings.databaseUrl) : sqliteBackend(join(dataDir, 'homeserver.db')))
  const store = await openStore(backend, { clock, name: opaqueId(random, 9) })
  const { name, settled: firstStart } = await settleServerName(store.db, serverName)
  if (name !== serverName) {
    await store.close()
    folder?.release()
    throw new OtherServerName(
      `the data in ${settings.databaseUrl ? 'the database' : dataDir} belong to ${name}, and the settings say ${serverName}: ` +
        'a server name is for good. Set server_name back, or start over with an empty data folder (and database)',
    )
  }

  const metrics = settings.metricsListen ? await createMetrics() : noMetrics()
  const shuttingDown = new AbortController()
  const sharedRooms = overrides.sharedRooms ?? roomsShared(serverName)
  const signingKey = await loadSigningKey({ store, clock, random, dataDir })
  const federation = createFederation({
    store,
    platform,
    serverName,
    signingKey,
    settings: {
      allowPrivate: settings.federationAllowPrivate,
      deny: settings.federationDeny,
      allow: settings.federationAllow,
      notaries: settings.federationNotaries,
      rateLimits,
      retries: settings.deviceLists,
      oldKeys: await loadOldKeys({ store, dataDir }),
    },
  })
  const wakeSender = (destinations: readonly ServerName[]) => sender.wake(destinations)
  const toDevice = createToDevice({
    store,
    clock,
    random,
    log,
    serverName,
    wakeSender,
    devicesSeen: (tx, userId, seen) => deviceLists.devicesSeen(tx, userId, seen),
  })
  const deviceLists = createDeviceLists({
    store,
    clock,
    random,
    log,
    serverName,
    settings: settings.deviceLists,
    rateLimits,
    transport: {
      request: federation.request,
      isAllowed: federation.isAllowed,
      backoffOf: federation.destinations.backoffOf,
    },
    sharedRooms,
    metrics: metrics.deviceLists,
    localUserExists: (userId) => users.exists(userId),
    wakeSender,
  })
  federation.destinations.onUp(deviceLists.serverIsUp)
  federation.destinations.onBack(deviceLists.serverIsBack)
  federation.keyRing.onRebuilt(deviceLists.serverWasRebuilt)
  const devices = createDevices({ store, clock, random, serverName, lists: deviceLists, request: federation.request })
  const keyBackup = createKeyBackup(store)
  const forgetKeys = async (tx: Tx, userId: UserId) => {
    await keyBackup.forget(tx, userId)
    await devices.crossSigning.forget(tx, userId)
  }
  const remoteProfile = createRemoteProfiles(clock, federation.request)
  const users = createUsers({
    store,
    clock,
    random,
    settings,
    sessions: devices,
    forgetKeys,
    remoteProfile,
    nameChanged: (userId) => rooms.members.followProfile(userId),
    leaveRooms: (tx, userId) => rooms.members.departures.schedule(tx, userId),
  })
  const ephemeral = createEphemeral({
    store,
    clock,
    log,
    serverName,
    rooms: {
      ...roomFacts(serverName),
      ...sharedRooms,
      isDenied: (roomId, server) => rooms.acl.denies(roomId, server),
    },
    fullyRead: users.fullyRead,
    onRead: users.notifications.markRead,
    wakeSender,
  })
  const rooms = createRooms({
    store,
    clock,
    random,
    log,
    serverName,
    signingKey,
    profileOf: users.publicProfile,
    localUsers: {
      exists: (userId) => isActiveAccount(store.db, userId),
      guestsAmong,
      blocksInvites: users.blocksInvites,
    },
    remote: {
      request: federation.request,
      isAllowed: federation.isAllowed,
      keyForEvent: federation.keyRing.keyForEvent,
    },
    watchers: {
      startTracking: deviceLists.startTracking,
      stopTracking: deviceLists.stopTracking,
      succeeded: users.followSuccession,
      async serversJoined(tx, userIds, servers) {
        await deviceLists.introduce(tx, userIds, servers)
        await ephemeral.introduce(tx, userIds, servers)
      },
      async eventsAdded(tx, added) {
        for (const { event, version, position } of added) {
          if (position < 0) continue
          const facts = await rooms.pushFacts(tx.db, event, version)
          await users.notifications.countUnread(tx, { position, ...facts })
          if (event.redacts)
            await users.notifications.takeBack(tx, { ...facts, roomId: event.roomId, eventId: event.redacts })
        }
      },
      wakeSender,
    },
  })
  const sender = createSender({
    store,
    clock,
    random,
    log,
    serverName,
    client: federation,
    destinations: federation.destinations,
    events: rooms.outgoing,
    sources: [toDevice.outgoing, deviceLists.outgoing, ephemeral.outgoing],
  })
  const transactions = createTransactions({
    store,
    clock,
    log,
    pdus: (origin, pdus) => rooms.incoming.receive(origin, pdus),
    handlers: new Map<string, EduHandler>([
      ['m.direct_to_device', toDevice.receive],
      ...Object.entries(deviceLists.receive),
      ...Object.entries(ephemeral.receive),
    ]),
  })
  const syncSources: SyncSources = {
    accountData: users.accountDataEvents,
    deviceLists: deviceLists.news,
    toDevice: toDevice.read,
    acknowledgeToDevice: toDevice.acknowledge,
    keyCounts: async (userId, deviceId) => ({
      oneTimeKeys: await oneTimeKeyCounts(store.db, userId, deviceId),
      unusedFallbackKeyTypes: await unusedFallbackKeyTypes(store.db, userId, deviceId),
    }),
    rooms: rooms.syncSource,
    ephemeral: {
      ...ephemeral,
      roomAccountDataSince: users.roomAccountDataSince,
      unreadCounts: users.notifications.unreadCounts,
    },
  }
  const sync = createSync(store, clock, syncSources)
  const oldSync = createOldSync(store, clock, sync, syncSources, {
    ...rooms.reading,
    requireReadable: rooms.syncSource.requireReadable,
  })
  const media = createMedia({
    store,
    clock,
    random,
    serverName,
    files: createFileFolder(join(dataDir, 'media'), () => opaqueId(random)),
    request: federation.request,
  })
  const cleaner = createWorkerLoop({
    clock,
    onError: (error) => log.error({ err: error }, 'cleaning up failed'),
    async pass() {
      await transactions.cleanUp(clock.now())
      await toDevice.cleanUp(clock.now())
      await rooms.outgoing.cleanUp()
      await rooms.speaking.cleanUp(clock.now())
      await media.cleanUp()
      await cleanUpLimits(store, clock.now())
      await ephemeral.cleanUp(clock.now())
      await users.notifications.forgetOld(clock.now())
      return { more: false, nextAt: clock.now() + CLEAN_UP_INTERVAL_MS }
    },
  })

  let listeners: Listeners | undefined
  let socket: SocketAddress | undefined
  const baseUrl = () => {
    if (settings.publicBaseUrl) return settings.publicBaseUrl
    return `http://${addressText(listeners?.plain ?? settings.listen)}`
  }
  const ctx: Context = {
    settings,
    clock,
    random,
    log,
    store,
    baseUrl,
    shutdown: shuttingDown.signal,
    users,
    devices,
    keyBackup,
    toDevice,
    deviceLists,
    federation,
    transactions,
    rooms,
    media,
    ephemeral,
    sync,
    oldSync,
  }
  const app = await createApp(ctx)

  async function certificate(): Promise<Certificate> {
    const { tlsCert, tlsKey } = settings
    if (tlsCert !== undefined && tlsKey !== undefined) return readCertificate(tlsCert, tlsKey)
    return selfMadeCertificate(dataDir, parseServerName(serverName)!.host, clock.now())
  }

  async function startWorkers(): Promise<void> {
    await deviceLists.start()
    sender.start()
    ephemeral.start()
    rooms.members.departures.start()
    cleaner.start()
  }

  return {
    settings,
    ctx,
    app,
    firstStart,
    baseUrl,
    listening() {
      const { plain, tls, metrics } = listeners ?? {}
      return {
        plain: plain && addressText(plain),
        tls: tls && addressText(tls),
        metrics: metrics && addressText(metrics),
      }
    },
    startWorkers,
    async start() {
      const operators = folder && (await createOperatorApp(ctx))
      socket = folder && socketAddress(dataDir, 'evergreen.sock')
      const plan = {
        plain: settings.listen,
        tls: settings.tlsListen && { address: settings.tlsListen, certificate: await certificate() },
        metrics: settings.metricsListen && { address: settings.metricsListen, handler: metrics.handler(ctx) },
        socket: operators && { path: socket!.path, handler: operators.routing },
      }
      listeners = await openListeners(app.routing, plan, clock)
      await startWorkers()
    },
    async reloadCertificate() {
      if (settings.tlsListen) listeners?.useCertificate(await certificate())
    },
    async stop() {
      shuttingDown.abort()
      await listeners?.close(STOP_GRACE_MS)
      await Promise.all([deviceLists, sender, ephemeral, cleaner, rooms.members.departures].map((one) => one.stop()))
      await app.close()
      await store.close()
      await network.close()
      socket?.release()
      folder?.release()
    },
  }
}
