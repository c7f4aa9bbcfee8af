import type { UserId } from '../packages/homeserver/src/matrix/ids.ts'
import { DEVICE, FAULTS, type Fault, type Fleet, type Target } from './fleet.ts'
import type { BenchClient } from './matrix-client.ts'
import { inLanes } from './room-scenarios.ts'

/** What device lists cost, measured through the client and federation APIs of any homeserver that shares a room with a fleet. */
const LANES = Number(process.env.BENCH_LANES ?? 8)
const POLL_MS = 10

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** All users skip an update. @returns ms until the homeserver shows every list as it is now */
export async function gapStorm(fleet: Fleet, target: Target, reader: BenchClient): Promise<number> {
  const start = performance.now()
  await inLanes(LANES, fleet.servers.length, async (index) => {
    const name = fleet.servers[index]!
    const edus = fleet.usersOf(name).map((userId) => fleet.change(userId, 1))
    await fleet.send(name, target, edus)
  })
  await untilFetched(fleet, fleet.users)
  await untilShown(fleet, reader, fleet.users)
  return performance.now() - start
}

/** Every user changes, so many in a transaction. @returns ms until a long poll has named every one */
export async function updates(fleet: Fleet, target: Target, reader: BenchClient, each: number): Promise<number> {
  type Answer = { next_batch: string; device_lists?: { changed?: UserId[] } }
  let since = (await reader.ask<Answer>('GET', '/sync?timeout=0')).next_batch
  const awaited = new Set(fleet.users)
  const start = performance.now()
  const seeing = (async () => {
    while (awaited.size > 0) {
      const seen = await reader.ask<Answer>('GET', `/sync?since=${since}&timeout=10000`)
      since = seen.next_batch
      for (const userId of seen.device_lists?.changed ?? []) awaited.delete(userId)
    }
  })()
  await inLanes(LANES, fleet.servers.length, async (index) => {
    const name = fleet.servers[index]!
    const users = fleet.usersOf(name)
    for (let first = 0; first < users.length; first += each) {
      const edus = users.slice(first, first + each).map((userId) => fleet.change(userId))
      await fleet.send(name, target, edus)
    }
  })
  await seeing
  return performance.now() - start
}

/** Waits until the homeserver has fetched these lists by itself. @throws after two minutes */
export async function untilFetched(fleet: Fleet, users: readonly UserId[]): Promise<void> {
  const start = performance.now()
  while (!users.every(fleet.wasFetched)) {
    if (performance.now() - start > 120_000) throw new Error('lists are not fetched within two minutes')
    await pause(POLL_MS)
  }
}

/** Waits until `/keys/query` gives the keys that these users have now. */
export async function untilShown(fleet: Fleet, reader: BenchClient, users: readonly UserId[]): Promise<void> {
  type Answer = { device_keys: Record<UserId, Record<string, { keys: Record<string, string> }>> }
  const body = { device_keys: Object.fromEntries(users.map((userId) => [userId, []])) }
  for (let attempt = 0; ; attempt++) {
    const { device_keys } = await reader.ask<Answer>('POST', '/keys/query', body)
    const isShown = (userId: UserId) =>
      device_keys[userId]?.[DEVICE]?.keys[`ed25519:${DEVICE}`] === fleet.keyNow(userId)
    if (users.every(isShown)) return
    if (attempt > 1_000) throw new Error('a list stays wrong')
    await pause(POLL_MS * 5)
  }
}

/** How long after a fault has ended the list is fetched, with nobody asking (ms): of a server that speaks, and of a silent one. */
export type Recovery = { fault: Fault; spoke: number; silent: number }

/**
 * The lists of servers change while these cannot be asked, which goes on for `outageMs`; all faults at the same time, each with
 * two servers.
 */
export async function recoveries(fleet: Fleet, target: Target, outageMs: number): Promise<Recovery[]> {
  return Promise.all(
    FAULTS.map(async (fault, index) => {
      const after = async (nth: number, speaks: boolean) => {
        const name = fleet.servers[index * 2 + nth]!
        const userId = fleet.usersOf(name)[0]!
        await fleet.setFault(name, fault)
        await fleet.send(name, target, [fleet.change(userId, 1)])
        await pause(outageMs)
        await fleet.setFault(name, undefined)
        // Nothing may come sooner than the server has asked for.
        const start = performance.now() + Math.max(0, fleet.waitUntil(name) - Date.now())
        if (speaks) await fleet.send(name, target, [])
        await untilFetched(fleet, [userId])
        return performance.now() - start
      }
      const [spoke, silent] = await Promise.all([after(0, true), after(1, false)])
      return { fault, spoke, silent }
    }),
  )
}
