import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import selfsigned from 'selfsigned'
import type { SharedRooms } from '../src/device-lists/tracking.ts'
import { createHomeserver, type Homeserver, type Overrides } from '../src/homeserver.ts'
import { type ServerName, serverNameOf, type UserId } from '../src/matrix/ids.ts'
import type { HttpFetch, Network } from '../src/platform/network.ts'
import { createSystemNetwork } from '../src/platform/system-network.ts'

/** A server that can be stopped and started again on the same data. */
type DemoServer = { baseUrl(): string; start(): Promise<void>; stop(): Promise<void> }

export type TwoServers = {
  aliceServer: DemoServer
  bobServer: DemoServer
  /** Lets both servers know that their users share an encrypted room, as joining one will do. */
  shareRoom(aliceId: string, bobId: string): Promise<void>
  /** From now on device list updates of bob's server are lost on their way. `lost` waits until one more was. */
  loseUpdates(): { lost(): Promise<void> }
  stop(): Promise<void>
}

/** Two real homeservers on this machine, which talk to each other over TLS on loopback. */
export async function startTwoServers(): Promise<TwoServers> {
  const folder = await mkdtemp(join(tmpdir(), 'evergreen-demo-'))
  const pem = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  const [tlsCert, tlsKey] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  await Promise.all([writeFile(tlsCert, pem.cert), writeFile(tlsKey, pem.private)])

  const rooms = new Set<string>()
  const losses = lossyNetwork(createSystemNetwork({ certificates: pem.cert }))
  const server = async (name: string, overrides: Overrides): Promise<RestartableServer> => {
    const [plain, tls] = [await freePort(), await freePort()]
    const settings = {
      serverName: `localhost:${tls}` as ServerName,
      dataDir: join(folder, name),
      listen: { host: '127.0.0.1', port: plain },
      tlsListen: { host: '127.0.0.1', port: tls },
      tlsCert,
      tlsKey,
      federationCaFile: tlsCert,
      federationAllowPrivate: true,
      registration: 'open' as const,
      passwordHash: 'test' as const,
      logLevel: 'fatal' as const,
      // A list fetched within the last half minute counts as new; here everything happens within seconds.
      deviceLists: { refreshCache: 0 },
    }
    return restartable(() => createHomeserver(settings, overrides))
  }
  const aliceServer = await server('alice', { sharedRooms: sharedRoomsOf(rooms) })
  const bobServer = await server('bob', { sharedRooms: sharedRoomsOf(rooms), platform: { network: losses.network } })
  await Promise.all([aliceServer.start(), bobServer.start()])
  return {
    aliceServer,
    bobServer,
    async shareRoom(aliceId, bobId) {
      for (const userId of [aliceId, bobId]) rooms.add(userId)
      await aliceServer.track(bobId as UserId)
      await bobServer.track(aliceId as UserId)
    },
    loseUpdates: losses.begin,
    async stop() {
      await Promise.all([aliceServer.stop(), bobServer.stop()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

type RestartableServer = DemoServer & { track(remoteUser: UserId): Promise<void> }

function restartable(build: () => Promise<Homeserver>): RestartableServer {
  let running: Homeserver | undefined
  return {
    baseUrl: () => running!.baseUrl(),
    async start() {
      running = await build()
      await running.start()
    },
    async stop() {
      await running?.stop()
      running = undefined
    },
    async track(remoteUser) {
      const { store, deviceLists } = running!.ctx
      await store.transaction((tx) => deviceLists.startTracking(tx, [remoteUser]))
    },
  }
}

/** Everybody in the set shares a room with everybody else in it. Rooms will answer this themselves. */
function sharedRoomsOf(members: ReadonlySet<string>): SharedRooms {
  return {
    sharing: async (_db, userId, others) => new Set(others.filter((other) => other !== userId && members.has(other))),
    wakeKeys: async () => [...members],
    localUsers: async () => [...members] as UserId[],
    movements: async () => ({ met: [], parted: [], invited: [] }),
    servers: async (_db, userId) =>
      [...new Set(([...members] as UserId[]).map(serverNameOf))].filter((name) => name !== serverNameOf(userId)),
    inEncryptedRooms: async (_db, userId) =>
      ([...members] as UserId[])
        .filter((member) => member !== userId)
        .map((member) => ({ userId: member, displayName: null })),
    active: async (_db, userIds) => new Set(userIds),
  }
}

/** A network that, once begun, answers for the other side when a device list update goes out, and delivers nothing. */
function lossyNetwork(network: Network): { network: Network; begin(): { lost(): Promise<void> } } {
  let losing = false
  let count = 0
  let seen = 0
  let notify = () => {}
  const http: HttpFetch = async (request) => {
    if (!losing || request.method !== 'PUT' || !request.body?.includes('m.device_list_update'))
      return network.http(request)
    count++
    notify()
    return { status: 200, headers: {}, body: Buffer.from('{"pdus":{}}') }
  }
  return {
    network: { ...network, http },
    begin() {
      losing = true
      return {
        async lost() {
          while (count <= seen) await new Promise<void>((resolve) => (notify = resolve))
          seen = count
        },
      }
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}
