import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHomeserver } from '../packages/homeserver/src/homeserver.ts'
import type { EventId, RoomId, ServerName, UserId } from '../packages/homeserver/src/matrix/ids.ts'
import { serverNameOf } from '../packages/homeserver/src/matrix/ids.ts'
import { canonicalRequest } from '../packages/homeserver/src/matrix/json.ts'
import { signingKeyFromSeed, signJson, signText } from '../packages/homeserver/src/matrix/signing.ts'
import { silentLogger } from '../packages/homeserver/src/platform/logger.ts'
import type { HttpRequest, Network } from '../packages/homeserver/src/platform/network.ts'

/**
 * What the device-list engine itself costs, in CPU of one process on SQLite: updates in, ten and one a transaction, and a gap of
 * 500 users on 50 servers. Other servers are functions in this process, so that sockets and TLS are not in it: for those see
 * `run.ts`. Run it with `--cpu-prof` to see where the time goes.
 */
const SERVERS = 50
const USERS_EACH = 10
const TRANSACTIONS = 1_000
/** Transactions that go before one look with `/sync`, as a busy reader's long polls do. */
const BETWEEN_SYNCS = 10
const ROUNDS = 6

const names = Array.from({ length: SERVERS }, (_, n) => `s${n}.example` as ServerName)
const users = names.flatMap((name) => Array.from({ length: USERS_EACH }, (_, n) => `@u${n}:${name}` as UserId))
const keys = new Map(names.map((name, n) => [name, signingKeyFromSeed('ed25519:1', Buffer.alloc(32, n))]))
const streams = new Map(users.map((user) => [user, 1]))

const json = (body: object) => ({ status: 200, headers: {}, body: Buffer.from(JSON.stringify(body)) })
const network: Network = {
  dns: { addresses: async () => ['10.0.0.1'], srv: async () => [] },
  async http({ host, path }: HttpRequest) {
    const name = host.split(':')[0] as ServerName
    if (path.startsWith('/_matrix/key/v2/server')) {
      const key = keys.get(name)!
      const verify_keys = { [key.keyId]: { key: key.publicKey } }
      const published = { server_name: name, valid_until_ts: Date.now() + 86_400_000, verify_keys, old_verify_keys: {} }
      return json(signJson(published, name, key))
    }
    if (!path.startsWith('/_matrix/federation/v1/user/devices/')) return { ...json({}), status: 404 }
    const userId = decodeURIComponent(path.split('/').at(-1)!) as UserId
    const streamId = streams.get(userId)!
    const devices = [0, 1, 2].map((n) => ({ device_id: `D${n}`, keys: deviceKeys(userId, `D${n}`, streamId) }))
    return json({ user_id: userId, stream_id: streamId, devices })
  },
}

function deviceKeys(userId: UserId, device_id: string, version: number): object {
  const key = Buffer.alloc(32, version).toString('base64').replace('=', '')
  const algorithms = ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2']
  const signatures = { [userId]: { [`ed25519:${device_id}`]: 'A'.repeat(86) } }
  const own = { [`curve25519:${device_id}`]: key, [`ed25519:${device_id}`]: key }
  return { user_id: userId, device_id, algorithms, keys: own, signatures }
}

const dataDir = mkdtempSync(join(tmpdir(), 'evergreen-bench-'))
const homeserver = await createHomeserver(
  {
    serverName: 'hs1' as ServerName,
    dataDir,
    registration: 'open',
    passwordHash: 'test',
    rateLimits: false,
    federationAllowPrivate: true,
  },
  { platform: { network, log: silentLogger } },
)
await homeserver.startWorkers()
const { store, deviceLists } = homeserver.ctx
const registered = await homeserver.app.inject({
  method: 'POST',
  url: '/_matrix/client/v3/register',
  payload: { username: 'alice', password: 'secret', auth: { type: 'm.login.dummy' } },
})
const token = registered.json().access_token as string
await share()
await settled()

const transaction = { count: 0 }
let since = (await sync()).next_batch as string
await updates(200, 5)
report('updates in, 10 a transaction', await measured(TRANSACTIONS * 10, () => updates(TRANSACTIONS, 10)))
report('updates in, one a transaction', await measured(TRANSACTIONS, () => updates(TRANSACTIONS, 1)))
report('a gap, until fresh', await measured(users.length * ROUNDS, gapStorm))
await homeserver.stop()
rmSync(dataDir, { recursive: true })

/** Alice shares one room with everybody. */
async function share(): Promise<void> {
  const members = ['@alice:hs1' as UserId, ...users].map((user_id) => ({
    room_id: '!room:hs1' as RoomId,
    user_id,
    server_name: serverNameOf(user_id),
    is_local: user_id === '@alice:hs1' ? 1 : 0,
    membership: 'join' as const,
    event_id: '$event' as EventId,
    sender: user_id,
    position: 1,
    display_name: null,
    avatar_url: null,
    forgotten: 0,
  }))
  await store.db.insertInto('memberships').values(members).execute()
  await store.transaction((tx) => deviceLists.startTracking(tx, users))
}

/** Sends updates, and waits until a long poll has shown each user. */
async function updates(transactions: number, each: number): Promise<void> {
  const awaited = new Set<UserId>()
  for (let n = 0; n < transactions; n++) {
    const name = names[n % SERVERS]!
    const some = Array.from({ length: each }, (_, m) => `@u${(n + m) % USERS_EACH}:${name}` as UserId)
    const edus = some.map((userId) => update(userId, 1))
    await send(name, edus)
    for (const userId of some) awaited.add(userId)
    if ((n + 1) % BETWEEN_SYNCS > 0) continue
    const seen = await sync(since)
    since = seen.next_batch
    if (!awaited.isSubsetOf(new Set(seen.device_lists.changed))) throw new Error('a change was not told')
    awaited.clear()
  }
}

/** Each user skips an update; all are to be fetched again. */
async function gapStorm(): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names)
      await send(
        name,
        users.filter((user) => serverNameOf(user) === name).map((user) => update(user, 2)),
      )
    await settled()
  }
}

function update(userId: UserId, step: number): object {
  const before = streams.get(userId)! + step - 1
  streams.set(userId, before + 1)
  const content = { user_id: userId, device_id: 'D1', stream_id: before + 1, prev_id: [before] }
  return { edu_type: 'm.device_list_update', content: { ...content, keys: deviceKeys(userId, 'D1', before + 1) } }
}

async function send(origin: ServerName, edus: object[]): Promise<void> {
  const uri = `/_matrix/federation/v1/send/t${transaction.count++}`
  const content = { origin, origin_server_ts: 1, pdus: [], edus }
  const key = keys.get(origin)!
  const signature = signText(canonicalRequest({ method: 'PUT', uri, origin, destination: 'hs1', content })!, key)
  const authorization = `X-Matrix origin="${origin}",destination="hs1",key="${key.keyId}",sig="${signature}"`
  const answer = await homeserver.app.inject({ method: 'PUT', url: uri, headers: { authorization }, payload: content })
  if (answer.statusCode !== 200) throw new Error(`a transaction was answered ${answer.statusCode}: ${answer.body}`)
}

async function sync(from?: string) {
  const url = `/_matrix/client/v3/sync?timeout=10000${from === undefined ? '' : `&since=${from}`}`
  return (await homeserver.app.inject({ method: 'GET', url, headers: { authorization: `Bearer ${token}` } })).json()
}

async function settled(): Promise<void> {
  while ((await deviceLists.staleUsers({})).length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function measured(count: number, work: () => Promise<void>): Promise<{ cpuMs: number; wallMs: number }> {
  const [cpu, wall] = [process.cpuUsage(), performance.now()]
  await work()
  const used = process.cpuUsage(cpu)
  return { cpuMs: (used.user + used.system) / 1_000 / count, wallMs: (performance.now() - wall) / count }
}

function report(what: string, { cpuMs, wallMs }: { cpuMs: number; wallMs: number }): void {
  const perSecond = (1_000 / cpuMs).toFixed(0)
  console.log(`${what.padEnd(34)} ${cpuMs.toFixed(3)} ms of CPU each, ${perSecond}/s of CPU; ${wallMs.toFixed(3)} ms`)
}
