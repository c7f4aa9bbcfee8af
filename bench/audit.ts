import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf } from '../packages/homeserver/src/device-lists/snapshot.ts'
import { createHomeserver } from '../packages/homeserver/src/homeserver.ts'
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../packages/homeserver/src/matrix/ids.ts'
import { silentLogger } from '../packages/homeserver/src/platform/logger.ts'
import type { HttpRequest, Network } from '../packages/homeserver/src/platform/network.ts'

/**
 * What it costs to compare the lists of 100,000 users with their 500 servers, all of them due at once, one in a thousand wrong: requests,
 * CPU and time. Other servers are functions in this process. `BENCH_AUDITED` says how many users.
 */
const USERS = Number(process.env.BENCH_AUDITED ?? 100_000)
const SERVERS = 500
const WRONG_EVERY = 1_000
const DEVICES = 3

const names = Array.from({ length: SERVERS }, (_, n) => `s${n}.example` as ServerName)
const users = Array.from({ length: USERS }, (_, n) => `@u${n}:${names[n % SERVERS]}` as UserId)
const counts = { queries: 0, fetches: 0, largest: 0 }

function devicesOf(userId: UserId): Map<string, Record<string, unknown>> {
  const algorithms = ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2']
  const key = 'A'.repeat(43)
  return new Map(
    Array.from({ length: DEVICES }, (_, n) => {
      const device_id = `D${n}`
      const keys = { [`curve25519:${device_id}`]: key, [`ed25519:${device_id}`]: key }
      const signatures = { [userId]: { [`ed25519:${device_id}`]: 'A'.repeat(86) } }
      return [device_id, { user_id: userId, device_id, algorithms, keys, signatures }]
    }),
  )
}

const json = (body: object) => ({ status: 200, headers: {}, body: Buffer.from(JSON.stringify(body)) })
const network: Network = {
  dns: { addresses: async () => ['10.0.0.1'], srv: async () => [] },
  async http({ path, body }: HttpRequest) {
    if (path.endsWith('/user/keys/query')) {
      const asked = Object.keys(JSON.parse(String(body)).device_keys) as UserId[]
      counts.queries++
      counts.largest = Math.max(counts.largest, asked.length)
      return json({
        device_keys: Object.fromEntries(asked.map((id) => [id, Object.fromEntries(devicesOf(id))])),
      })
    }
    if (!path.includes('/user/devices/')) return { ...json({}), status: 404 }
    counts.fetches++
    const userId = decodeURIComponent(path.split('/').at(-1)!) as UserId
    const devices = [...devicesOf(userId)].map(([device_id, keys]) => ({ device_id, keys }))
    return json({ user_id: userId, stream_id: 1, devices })
  },
}

const dataDir = mkdtempSync(join(tmpdir(), 'evergreen-bench-'))
const settings = {
  serverName: 'hs1' as ServerName,
  dataDir,
  passwordHash: 'test',
  federationAllowPrivate: true,
} as const
const homeserver = await createHomeserver(settings, { platform: { network, log: silentLogger } })
const { store, deviceLists } = homeserver.ctx
await fill()
const [cpu, wall] = [process.cpuUsage(), performance.now()]
await homeserver.startWorkers()
while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 200))
const used = process.cpuUsage(cpu)
const cpuMs = (used.user + used.system) / 1_000
const seconds = ((performance.now() - wall) / 1_000).toFixed(1)
console.log(`${USERS} lists on ${SERVERS} servers compared in ${seconds} s, ${(cpuMs / 1_000).toFixed(1)} s of CPU`)
console.log(`  ${(cpuMs / USERS).toFixed(3)} ms of CPU each, the other side included`)
console.log(`  ${counts.queries} requests of up to ${counts.largest} users, ${counts.fetches} lists fetched again`)
console.log(`  largest memory: ${(process.resourceUsage().maxRSS / 1_024).toFixed(0)} MB, both sides`)
await homeserver.stop()
rmSync(dataDir, { recursive: true })

/** Everybody is in a room with one of ours, and was fetched long ago; one list in so many has changed since. */
async function fill(): Promise<void> {
  const now = Date.now() - 1_000
  for (let first = 0; first < USERS; first += 500) {
    const some = users.slice(first, first + 500)
    await store.transaction(async (tx) => {
      const member = (user_id: UserId) => ({
        room_id: '!room:hs1' as RoomId,
        user_id,
        server_name: serverNameOf(user_id),
        is_local: 0,
        membership: 'join' as const,
        event_id: '$event' as never,
        sender: user_id,
        position: 1,
        display_name: null,
        avatar_url: null,
        forgotten: 0,
      })
      await tx.db.insertInto('memberships').values(some.map(member)).execute()
      await deviceLists.startTracking(tx, some)
      for (const [n, userId] of some.entries()) {
        const list = { streamId: 1, deviceKeys: devicesOf(userId), keyless: [], masterKey: null, selfSigningKey: null }
        const digest = (first + n) % WRONG_EVERY === 0 ? 'another' : digestOf(list)!
        await tx.db
          .updateTable('device_lists')
          .set({ synced_gen: 1, wanted_gen: 1, stream_id: 1, digest, devices: DEVICES, synced_at: now, audit_at: now })
          .where('user_id', '=', userId)
          .execute()
      }
    })
  }
}

async function isDone(): Promise<boolean> {
  const { due } = await store.db
    .selectFrom('device_lists')
    .select(({ fn }) => fn.countAll<number>().as('due'))
    .where(({ or, eb, ref }) => or([eb('audit_at', '<=', Date.now()), eb('wanted_gen', '>', ref('synced_gen'))]))
    .executeTakeFirstOrThrow()
  return Number(due) === 0
}
