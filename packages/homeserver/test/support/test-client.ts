import type { Random } from '../../src/platform/random.ts'
import { createTestDevice, type TestDevice } from './test-keys.ts'

/** An answer, whatever its status. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely.
export type ClientAnswer = { status: number; body: any; headers: Record<string, string> }

/** A body that is a text is sent as it is, anything else as JSON. */
export type ClientRequest = { method: string; path: string; body?: unknown; token?: string }

/** Sends a request to a server's client API. */
export type Ask = (request: ClientRequest) => Promise<ClientAnswer>

/** One device of a user, as a client is logged in on it. */
export type TestClient = {
  userId: string
  deviceId: string
  accessToken: string
  /** The device's keys; on the server once `uploadKeys` has sent them. */
  device: TestDevice
  /** Token that the next `sync` continues from. */
  since: string | undefined
  /** A path that does not begin with `/_matrix` is one of the client API, v3. */
  request(method: string, path: string, body?: unknown): Promise<ClientAnswer>
  /**
   * The next sync's body. With a `timeout` (ms) it may wait for the clock to be advanced.
   * @throws unless the answer is 200; `since` then stays as it was
   */
  sync(query?: { timeout?: number; filter?: string; full_state?: boolean }): Promise<ClientAnswer['body']>
  /** Uploads device keys and so many new one-time keys. */
  uploadKeys(oneTimeKeys?: number): Promise<ClientAnswer>
  /** Logs the same user in on another device, and uploads its keys. */
  login(deviceId?: string): Promise<TestClient>
}

const V3 = '/_matrix/client/v3'
const PASSWORD = 'a password for tests'

/** `auth` of a request that its user confirms with the password. */
export function confirmation({ userId }: Pick<TestClient, 'userId'>, password: string = PASSWORD): object {
  return { type: 'm.login.password', identifier: { type: 'm.id.user', user: userId }, password }
}

/** Registers an account, and uploads the keys of its first device. */
export async function registerClient(ask: Ask, random: Random, localpart: string): Promise<TestClient> {
  const auth = { type: 'm.login.dummy' }
  const body = { username: localpart, password: PASSWORD, auth }
  return ready(ask, random, await ask({ method: 'POST', path: `${V3}/register`, body }))
}

async function ready(ask: Ask, random: Random, session: ClientAnswer): Promise<TestClient> {
  const { user_id: userId, device_id: deviceId, access_token: accessToken } = expectOk(session)
  const device = createTestDevice(random, userId, deviceId)
  const client = clientOf(ask, random, { userId, deviceId, accessToken, device })
  expectOk(await client.uploadKeys())
  return client
}

function clientOf(
  ask: Ask,
  random: Random,
  session: Pick<TestClient, 'userId' | 'deviceId' | 'accessToken' | 'device'>,
): TestClient {
  const { accessToken: token, device } = session
  const client: TestClient = {
    ...session,
    since: undefined,
    request: (method, path, body) => ask({ method, path: path.startsWith('/_') ? path : V3 + path, body, token }),
    async sync(query = {}) {
      const since = client.since === undefined ? {} : { since: client.since }
      const search = new URLSearchParams(textValues({ ...since, ...query }))
      const body = expectOk(await client.request('GET', `/sync?${search}`))
      client.since = body.next_batch
      return body
    },
    uploadKeys(oneTimeKeys = 0) {
      const keys = Object.fromEntries(Array.from({ length: oneTimeKeys }, () => device.oneTimeKey()))
      return client.request('POST', '/keys/upload', { device_keys: device.deviceKeys, one_time_keys: keys })
    },
    async login(deviceId) {
      const body = { ...confirmation(session), device_id: deviceId }
      return ready(ask, random, await ask({ method: 'POST', path: `${V3}/login`, body }))
    },
  }
  return client
}

/** The same members, each value as text. */
export function textValues(values: object): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
}

function expectOk({ status, body }: ClientAnswer): ClientAnswer['body'] {
  if (status !== 200) throw new Error(`answered ${status}: ${JSON.stringify(body)}`)
  return body
}
