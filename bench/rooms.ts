import { startSynapse } from '../interop/synapse.ts'
import { type BenchClient, register } from './matrix-client.ts'
import { startEvergreen } from './server.ts'

/**
 * What a message costs from its sender to a long-polling reader, and an initial sync of many rooms: Evergreen and a real
 * Synapse (`npm run test:interop` installs it) in one run, each one process on SQLite with its limits off. See
 * docs/benchmarks.md.
 */
const MESSAGES = 400
const WARM_UP = 50
const ROOMS = Number(process.env.BENCH_ROOMS ?? 500)

type Figures = Record<string, number>

const figures: Record<string, Figures> = {}
for (const name of ['Evergreen', 'Synapse'] as const) figures[name] = await measured(name)
for (const what of Object.keys(figures.Evergreen!)) {
  const [ours, theirs] = [figures.Evergreen![what]!, figures.Synapse![what]!]
  console.log(
    `${what.padEnd(52)} ${ours.toFixed(1).padStart(9)} ${theirs.toFixed(1).padStart(9)} ${(ours / theirs).toFixed(2).padStart(7)}`,
  )
}

async function measured(name: 'Evergreen' | 'Synapse'): Promise<Figures> {
  const server = name === 'Evergreen' ? await startEvergreen('') : await startSynapse()
  const alice = await register(server.baseUrl, 'alice')
  const bob = await register(server.baseUrl, 'bob')
  try {
    const roomId = (await alice.ask('POST', '/createRoom', { preset: 'public_chat' })).room_id as unknown as string
    await bob.ask('POST', `/join/${encodeURIComponent(roomId)}`, {})
    await delivered(alice, bob, roomId, WARM_UP, 1)
    const one = await delivered(alice, bob, roomId, MESSAGES, 1)
    const eight = await delivered(alice, bob, roomId, MESSAGES, 8)
    const rooms = await initialSync(alice)
    return {
      'messages/s, one after the other, until seen': one,
      'messages/s, eight at a time, until seen': eight,
      ...rooms,
    }
  } finally {
    await alice.close()
    await bob.close()
    await ('remove' in server ? server.remove() : server.stop())
  }
}

/** Messages a second from the first send until the reader has seen the last. */
async function delivered(
  alice: BenchClient,
  bob: BenchClient,
  roomId: string,
  count: number,
  lanes: number,
): Promise<number> {
  const first = await bob.ask('GET', '/sync')
  const tag = `${count}-${lanes}-${performance.now()}`
  const start = performance.now()
  const reading = read(bob, roomId, first.next_batch as unknown as string, count)
  let next = 0
  const lane = async () => {
    for (let index = next++; index < count; index = next++) {
      const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${tag}-${index}`
      await alice.ask('PUT', path, { msgtype: 'm.text', body: `message ${index}` })
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  await reading
  return count / ((performance.now() - start) / 1000)
}

type Joined = { timeline?: { events: { type: string }[] } }

async function read(bob: BenchClient, roomId: string, from: string, count: number): Promise<void> {
  const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 1000 } } }))
  let since = from
  for (let seen = 0; seen < count; ) {
    const body = (await bob.ask('GET', `/sync?since=${since}&timeout=30000&filter=${filter}`)) as unknown as {
      next_batch: string
      rooms?: { join?: Record<string, Joined> }
    }
    since = body.next_batch
    const events = body.rooms?.join?.[roomId]?.timeline?.events ?? []
    seen += events.filter((event) => event.type === 'm.room.message').length
  }
}

async function initialSync(alice: BenchClient): Promise<Figures> {
  for (let index = 0; index < ROOMS; index++) {
    await alice.ask('POST', '/createRoom', { name: `Room ${index}`, topic: 'Measured' })
  }
  const start = performance.now()
  await alice.ask('GET', '/sync')
  return { [`ms for an initial sync of ${ROOMS + 1} rooms`]: performance.now() - start }
}
