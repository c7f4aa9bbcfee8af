import type { Settings } from '../../src/config/settings.ts'
import type { Context } from '../../src/context.ts'
import type { Requester } from '../../src/devices/requester.ts'
import { type App, createApp } from '../../src/http/app.ts'
import type { ServerName, UserId } from '../../src/matrix/ids.ts'
import { silentLogger } from '../../src/platform/logger.ts'
import type { Store } from '../../src/storage/store.ts'
import type { Sessions } from '../../src/users/sessions.ts'
import { createUsers, type Users, type UsersDependencies } from '../../src/users/users.ts'
import { createFakeClock, type FakeClock } from './fake-clock.ts'
import { createSeededRandom } from './seeded-random.ts'

export const SERVER_NAME = 'example.org' as ServerName

/** Answer of a route: its status and parsed body. */
export type Answer = { status: number; body: Record<string, unknown>; headers: Record<string, unknown> }

export type Accounts = {
  users: Users
  clock: FakeClock
  store: Store
  app: App
  /** Asks a route; `token` is an access token. A body is sent as JSON, a string as it is. */
  ask(method: 'GET' | 'PUT' | 'POST' | 'DELETE', url: string, body?: unknown, token?: string): Promise<Answer>
  /** Makes an account with the password `secret` and logs it in. */
  user(localpart: string): Promise<{ userId: UserId; token: string; deviceId: string }>
}

type Options = Partial<Settings> &
  Pick<UsersDependencies, 'remoteProfile'> &
  Partial<Sessions> & {
    /** Further features for the routes. */
    context?(parts: { users: Users; clock: FakeClock }): Partial<Context>
    /** The `settle` of the database, where a test advances the clock. */
    settle?: () => Promise<void>
  }

/** The accounts of a server on `store`, with its routes; devices are kept in memory. */
export async function accountsOn(store: Store, options: Options = {}): Promise<Accounts> {
  const { remoteProfile, createSession, context, settle, ...changed } = options
  const clock = createFakeClock(undefined, settle ? { settle } : {})
  const settings = { ...SETTINGS, ...changed } as Settings
  const devices = devicesInMemory()
  const users = createUsers({
    store,
    clock,
    random: createSeededRandom('accounts'),
    settings,
    sessions: createSession ? { ...devices, createSession } : devices,
    forgetKeys: async () => {},
    ...(remoteProfile && { remoteProfile }),
  })
  const baseUrl = () => settings.publicBaseUrl ?? 'https://listener.example.org:8448'
  const app = await createApp({
    settings,
    clock,
    log: silentLogger,
    store,
    baseUrl,
    shutdown: new AbortController().signal,
    users,
    devices,
    rooms: noRooms,
    ...context?.({ users, clock }),
  } as unknown as Context)

  const ask: Accounts['ask'] = async (method, url, body, token) => {
    const answer = await app.inject({
      method,
      url,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return { status: answer.statusCode, body: answer.json(), headers: answer.headers }
  }

  return {
    users,
    clock,
    store,
    app,
    ask,
    async user(localpart) {
      const created = await users.create({ localpart, password: 'secret', admin: false })
      if (created.kind !== 'created') throw new Error(`${localpart}: ${created.kind}`)
      const session = await store.transaction((tx) =>
        devices.createSession(tx, created.userId, { deviceId: undefined, displayName: undefined }),
      )
      return { userId: created.userId, deviceId: session.deviceId, token: session.accessToken }
    },
  }
}

/** Every part of rooms, without anything in it: routes take parts of it when they are added. */
const noRooms = new Proxy({}, { get: () => ({}) })

const SETTINGS: Partial<Settings> = {
  serverName: SERVER_NAME,
  publicBaseUrl: undefined,
  registration: 'open',
  registrationToken: undefined,
  rateLimits: true,
  trustedProxies: [],
  passwordHash: 'test',
}

/** As much of devices as accounts need. A new session ends the device's old ones. */
function devicesInMemory() {
  const requesters = new Map<string, Requester>()
  let count = 0
  const end = (isEnded: (requester: Requester) => boolean) => {
    for (const [token, requester] of requesters) if (isEnded(requester)) requesters.delete(token)
  }
  const sessions: Sessions = {
    async createSession(tx, userId, { deviceId = `DEVICE${++count}` }) {
      const accessToken = `token${++count}`
      tx.afterCommit(() => {
        end((one) => one.userId === userId && one.deviceId === deviceId)
        requesters.set(accessToken, {
          userId,
          deviceId,
          isGuest: false,
          isAdmin: false,
          isLocked: false,
          isSuspended: false,
        })
      })
      return { deviceId, accessToken }
    },
    async endSessions(tx, userId, but) {
      tx.afterCommit(() => end((one) => one.userId === userId && one.deviceId !== but))
    },
  }
  return {
    ...sessions,
    authenticate: async (token: string) => requesters.get(token),
    logout: async ({ userId, deviceId }: Requester) => end((one) => one.userId === userId && one.deviceId === deviceId),
    logoutAll: async (userId: UserId) => end((one) => one.userId === userId),
  }
}
