// Clients for any homeserver: accounts over plain HTTP, and matrix-js-sdk with its Rust crypto in Node.

import { setTimeout as sleep } from 'node:timers/promises'
import { ClientEvent, createClient, type MatrixClient, SyncState } from 'matrix-js-sdk'
import { logger as globalLogger, type Logger } from 'matrix-js-sdk/lib/logger.js'

/** A logged-in device of a user. */
export type Account = { baseUrl: string; userId: string; deviceId: string; accessToken: string; password: string }

type RegisterOptions = { username: string; password?: string; registrationToken?: string }

type Json = Record<string, unknown>
type Answer = { status: number; body: Json }

/**
 * One request to the client API.
 *
 * @param target who asks: an account, or only the base URL for a request without a token
 * @param path from `/_matrix` on
 * @returns status and parsed JSON, whatever the status
 */
export async function request(
  target: Account | { baseUrl: string },
  method: string,
  path: string,
  body?: Json,
): Promise<Answer> {
  const headers: Record<string, string> = body ? { 'content-type': 'application/json' } : {}
  if ('accessToken' in target) headers.authorization = `Bearer ${target.accessToken}`
  const response = await fetch(target.baseUrl + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  return { status: response.status, body: (await response.json()) as Json }
}

/**
 * Registers a user by user-interactive authentication: dummy, or a registration token when one is given.
 *
 * @returns the account, logged in on its first device
 */
export async function register(baseUrl: string, options: RegisterOptions): Promise<Account> {
  const { username, password = `password of ${username}`, registrationToken } = options
  const post = (auth?: Json) =>
    request({ baseUrl }, 'POST', '/_matrix/client/v3/register', { username, password, ...(auth && { auth }) })

  let answer = await post()
  for (const stage of registrationToken ? ['m.login.registration_token', 'm.login.dummy'] : ['m.login.dummy']) {
    if (answer.status !== 401) break
    answer = await post({ type: stage, session: answer.body.session, token: registrationToken })
  }
  return account(baseUrl, password, answer)
}

/** Logs in by password: a further device of a registered user. */
export async function login(baseUrl: string, userId: string, password: string): Promise<Account> {
  const identifier = { type: 'm.id.user', user: userId }
  const body = { type: 'm.login.password', identifier, password }
  return account(baseUrl, password, await request({ baseUrl }, 'POST', '/_matrix/client/v3/login', body))
}

function account(baseUrl: string, password: string, { status, body }: Answer): Account {
  if (status !== 200) throw new Error(`${baseUrl} answered ${status}: ${JSON.stringify(body)}`)
  const { user_id, device_id, access_token } = body as Record<string, string>
  return { baseUrl, userId: user_id!, deviceId: device_id!, accessToken: access_token!, password }
}

const ignore = () => undefined
const quiet: Logger = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore, getChild: () => quiet }

/**
 * Starts matrix-js-sdk with Rust crypto (kept in memory) for an account; resolves after the first sync. Its device keys
 * go up shortly after that: wait for them with {@link eventually}. The caller ends it with `stopClient()`; a timer of the
 * SDK keeps the process alive for two minutes all the same, so tests with a client run with `--test-force-exit`.
 */
export async function startCryptoClient(account: Account): Promise<MatrixClient> {
  Object.assign(globalLogger, quiet, { log: ignore }) // some modules take the SDK's own logger, not the client's
  const { baseUrl, userId, deviceId, accessToken } = account
  const client = createClient({ baseUrl, userId, deviceId, accessToken, logger: quiet })
  await client.initRustCrypto({ useIndexedDB: false })
  const synced = new Promise<void>((resolve) => {
    client.on(ClientEvent.Sync, (state) => state === SyncState.Prepared && resolve())
  })
  await client.startClient({ initialSyncLimit: 1 })
  await synced
  return client
}

/** Makes new cross-signing keys for the client's user, uploads them and signs the client's own device. */
export async function createCrossSigningKeys(client: MatrixClient, { userId, password }: Account): Promise<void> {
  await client.getCrypto()!.bootstrapCrossSigning({
    setupNewCrossSigning: true,
    authUploadDeviceSigningKeys: (makeRequest) =>
      makeRequest({ type: 'm.login.password', identifier: { type: 'm.id.user', user: userId }, password }),
  })
}

/** What `/keys/query` tells an account about one user. */
type UserKeys = { devices: Record<string, Json>; masterKey: Json | null; failures: Json }

/** Asks the account's homeserver for the keys of a user, local or remote. */
export async function queryKeys(account: Account, userId: string): Promise<UserKeys> {
  const query = { device_keys: { [userId]: [] } }
  const { status, body } = await request(account, 'POST', '/_matrix/client/v3/keys/query', query)
  if (status !== 200) throw new Error(`/keys/query answered ${status}: ${JSON.stringify(body)}`)
  const part = (name: string) => (body[name] ?? {}) as Record<string, Record<string, Json>>
  return {
    devices: part('device_keys')[userId] ?? {},
    masterKey: part('master_keys')[userId] ?? null,
    failures: part('failures'),
  }
}

/**
 * Tries again and again until a check answers something other than `undefined`, `null` or `false`.
 *
 * @param timeoutMs milliseconds after which it gives up and throws
 */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined | null | false>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await check()
    if (answer !== undefined && answer !== null && answer !== false) return answer
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await sleep(50)
  }
}
