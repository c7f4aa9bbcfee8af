import type { BenchClient } from './matrix-client.ts'

/** What rooms cost, measured through the client API of any homeserver. */
const ONE_ROOM = { room: { timeline: { limit: 1000 } } }

type Joined = { timeline?: { events: { type: string }[] } }
type SyncAnswer = { next_batch: string; rooms?: { join?: Record<string, Joined> } }

/** A room that anybody may join. */
export async function publicRoom(creator: BenchClient): Promise<string> {
  return (await creator.ask<{ room_id: string }>('POST', '/createRoom', { preset: 'public_chat' })).room_id
}

export async function join(client: BenchClient, roomId: string, via?: string): Promise<void> {
  await client.ask('POST', `/join/${encodeURIComponent(roomId)}${via ? `?server_name=${via}&via=${via}` : ''}`, {})
}

/** Messages a second, from the first send until a long-polling reader has seen the last. @param lanes sent at a time */
export async function delivered(
  sender: BenchClient,
  reader: BenchClient,
  roomId: string,
  count: number,
  lanes: number,
): Promise<number> {
  const { next_batch: since } = await reader.ask<SyncAnswer>('GET', '/sync')
  const tag = `${count}-${lanes}-${performance.now()}`
  const start = performance.now()
  const reading = read(reader, roomId, since, count)
  await inLanes(lanes, count, (index) => say(sender, roomId, `${tag}-${index}`))
  await reading
  return count / ((performance.now() - start) / 1000)
}

async function say(sender: BenchClient, roomId: string, txnId: string): Promise<void> {
  const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${txnId}`
  await sender.ask('PUT', path, { msgtype: 'm.text', body: `message ${txnId}` })
}

async function read(reader: BenchClient, roomId: string, from: string, count: number): Promise<void> {
  const filter = encodeURIComponent(JSON.stringify(ONE_ROOM))
  let since = from
  for (let seen = 0; seen < count; ) {
    const body = await reader.ask<SyncAnswer>('GET', `/sync?since=${since}&timeout=30000&filter=${filter}`)
    since = body.next_batch
    const events = body.rooms?.join?.[roomId]?.timeline?.events ?? []
    seen += events.filter((event) => event.type === 'm.room.message').length
  }
}

/** Makes so many rooms, then syncs from the beginning. @returns rooms made a second; milliseconds of the sync, the middle of three */
export async function initialSync(client: BenchClient, rooms: number): Promise<{ perSecond: number; ms: number }> {
  const start = performance.now()
  await inLanes(4, rooms, async (index) => {
    await client.ask('POST', '/createRoom', { name: `Room ${index}`, topic: 'Measured' })
  })
  const perSecond = rooms / ((performance.now() - start) / 1000)
  const times: number[] = []
  for (let nth = 0; nth < 3; nth++) {
    // Each with a filter of its own, since Synapse answers the same request the same for a while.
    const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 10 + nth } } }))
    times.push(await timed(() => client.ask('GET', `/sync?filter=${filter}`)))
  }
  return { perSecond, ms: times.sort((a, b) => a - b)[1]! }
}

/**
 * How long after a message is sent each of the long polls is answered.
 * @param each how many long polls every reader has
 * @returns milliseconds: the median, and the slowest of 99 %
 */
export async function wakeUp(
  sender: BenchClient,
  readers: readonly BenchClient[],
  roomId: string,
  each: number,
): Promise<{ p50: number; p99: number }> {
  // Presence is left out: the readers would tell each other that they are there. So are members who say nothing.
  const room = { timeline: { limit: 1 }, state: { lazy_load_members: true } }
  const wanted = encodeURIComponent(JSON.stringify({ presence: { types: [] }, room }))
  const query = `/sync?filter=${wanted}&set_presence=offline`
  const since = new Map<BenchClient, string>()
  await inLanes(8, readers.length, async (index) => {
    const reader = readers[index]!
    let { next_batch: at } = await reader.ask<SyncAnswer>('GET', query)
    // What happened meanwhile is read, too, until nothing is left to tell.
    at = (await reader.ask<SyncAnswer>('GET', `${query}&since=${at}&timeout=0`)).next_batch
    since.set(reader, at)
  })
  const waits: Promise<number>[] = []
  let start = Number.POSITIVE_INFINITY
  for (const reader of readers) {
    for (let nth = 0; nth < each; nth++) {
      // Synapse would answer the same request once for all.
      const path = `${query}&since=${since.get(reader)}&timeout=${120_000 + nth}`
      waits.push(reader.ask('GET', path).then(() => performance.now() - start))
    }
    // Not all at once: the system keeps only so many connections that nobody has accepted yet.
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await new Promise((resolve) => setTimeout(resolve, 3_000 + waits.length * 5))
  start = performance.now()
  await say(sender, roomId, `wake-${start}`)
  const times = (await Promise.all(waits)).sort((a, b) => a - b)
  if (times[0]! < 0) throw new Error('a long poll was answered before there was anything to tell')
  return { p50: times[Math.floor(times.length / 2)]!, p99: times[Math.floor(times.length * 0.99)]! }
}

/** `/keys/query` for these users, whose lists are known after the first. @returns a second */
export async function keysQueries(client: BenchClient, userIds: readonly string[], count: number): Promise<number> {
  const body = { device_keys: Object.fromEntries(userIds.map((userId) => [userId, []])), timeout: 30_000 }
  const query = () => client.ask<{ device_keys: Record<string, object> }>('POST', '/keys/query', body)
  const known = await query()
  const missing = userIds.filter((userId) => Object.keys(known.device_keys[userId] ?? {}).length === 0)
  if (missing.length > 0) throw new Error(`${missing.length} lists of devices are missing`)
  await query()
  const ms = await timed(() => inLanes(4, count, async () => void (await query())))
  return count / (ms / 1000)
}

export async function timed(task: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await task()
  return performance.now() - start
}

/** Runs a task for each number below `count`, so many at a time. */
export async function inLanes(lanes: number, count: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}
