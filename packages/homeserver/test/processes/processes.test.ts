import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { findPostgres, type PostgresServer } from '../support/postgres-server.ts'
import { type AlternatingClient, register, syncUntil } from './alternating-client.ts'
import { createWorld, type Served, type ServedServer, type World } from './serving.ts'

// Real processes on a real database: two of one server, without sticky routing, and one of another server. Nothing here
// waits for time, but for what the servers say.

const found = await findPostgres()
if ('missing' in found) test('several processes need PostgreSQL', { skip: found.missing }, () => {})
else suite(found)

function suite(postgres: PostgresServer): void {
  describe('two processes of one server, and another server', () => {
    let world: World
    let here: ServedServer
    let there: ServedServer
    let [first, second, other]: Served[] = []
    let [alice, ann, bob]: AlternatingClient[] = []
    let roomId: string

    before(async () => {
      world = await createWorld()
      here = await world.addServer(await postgres.take())
      there = await world.addServer()
      // Both find an empty database, and one of them makes the server's keys.
      ;[first, second, other] = await Promise.all([here.serve(), here.serve(), there.serve()])
      const both = [first!.url, second!.url]
      ;[alice, ann, bob] = await Promise.all([
        register('alice', ...both),
        register('ann', ...both.toReversed()),
        register('bob', other!.url),
      ])
    })
    after(async () => {
      await world?.end()
      await postgres.stop()
    })

    const members = () => ({ alice: alice!, ann: ann!, bob: bob! })

    test('a client that goes from one to the other at every request sees what it has done', async () => {
      const { alice, ann, bob } = members()
      roomId = (await alice.post('/createRoom', { preset: 'public_chat', invite: [ann.userId] })).room_id
      await ann.post(`/join/${encodeURIComponent(roomId)}`, {})
      await bob.post(`/join/${encodeURIComponent(roomId)}?server_name=${encodeURIComponent(here.name)}`, {})
      for (let round = 0; round < 6; round++) {
        const eventId = await alice.say(roomId, `round ${round}`)
        const { body } = await alice
          .get(`/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(eventId)}`)
          .then((event) => event.content)
        assert.equal(body, `round ${round}`)
        const shown = timelineOf(await alice.sync(), roomId)
        assert.equal(shown.at(-1), eventId)
      }
    })

    test('a long poll at one is ended by what happens at the other, and typing shows at both', async () => {
      const { alice, ann } = members()
      const [asAlice, asAnn] = [alice.by(first!.url), ann.by(second!.url)]
      await asAnn.sync()
      const waiting = asAnn.sync(40_000)
      const eventId = await asAlice.say(roomId, 'wake up')
      assert.deepEqual(timelineOf(await waiting, roomId), [eventId])

      const typing = `/rooms/${encodeURIComponent(roomId)}/typing/${encodeURIComponent(alice.userId)}`
      await asAlice.put(typing, { typing: true, timeout: 30_000 })
      await syncUntil(asAnn, 'alice types', (response) => typists(response, roomId)?.includes(alice.userId) ?? false)
    })

    test('what is said at both at once is seen once and in one order, here and there', async () => {
      const { alice, ann, bob } = members()
      const readers = [alice.by(first!.url), ann.by(second!.url), alice.by(second!.url, first!.url), bob.by(other!.url)]
      for (const reader of readers) await reader.sync()
      const speakers = [alice.by(first!.url), alice.by(second!.url), ann.by(first!.url), ann.by(second!.url), bob]
      const said = Promise.all(speakers.map((speaker, index) => sayMany(speaker, roomId, 20, `speaker ${index}`)))
      const seen = await Promise.all(readers.map((reader) => collect(reader, roomId, 100)))
      const eventIds = (await said).flat().sort()
      for (const one of seen) assert.deepEqual(one.toSorted(), eventIds)
      assert.deepEqual(seen[1], seen[0])
      assert.deepEqual(seen[2], seen[0])
    })

    test('of messages to devices none is lost and none comes twice', async () => {
      const { alice, ann, bob } = members()
      const reader = ann.by(first!.url, second!.url)
      await reader.sync()
      const speakers = [alice.by(first!.url), alice.by(second!.url), bob]
      const sent = Promise.all(
        speakers.map(async (speaker, index) => {
          for (let count = 0; count < 30; count++) {
            const messages = { [ann.userId]: { [ann.deviceId]: { text: `${index} ${count}` } } }
            await speaker.put(`/sendToDevice/example.note/${randomUUID()}`, { messages })
          }
        }),
      )
      const got: string[] = []
      await syncUntil(reader, 'messages to a device', ({ to_device }) => {
        for (const event of to_device?.events ?? []) got.push(event.content.text)
        return got.length >= 90
      })
      await sent
      const expected = speakers.flatMap((_, index) => Array.from({ length: 30 }, (_, count) => `${index} ${count}`))
      assert.deepEqual(got.toSorted(), expected.toSorted())
      assert.deepEqual((await reader.sync()).to_device?.events ?? [], [])
    })

    test('two who join a room of another server at once, by both, are both in it', async () => {
      const { alice, ann, bob } = members()
      const elsewhere = (await bob.post('/createRoom', { preset: 'public_chat' })).room_id
      const path = `/join/${encodeURIComponent(elsewhere)}?server_name=${encodeURIComponent(there.name)}`
      await Promise.all([alice.by(first!.url).post(path, {}), ann.by(second!.url).post(path, {})])
      const all = [alice, ann, bob].map((one) => one.userId).toSorted()
      for (const one of [alice.by(first!.url), ann.by(second!.url), bob]) {
        await syncUntil(one, 'both have joined', () => true)
        const membersPath = `/rooms/${encodeURIComponent(elsewhere)}/joined_members`
        await agree(one, membersPath, ({ joined }) => assert.deepEqual(Object.keys(joined).toSorted(), all))
      }
      const readers = [alice.by(first!.url), ann.by(second!.url), bob.by(other!.url)]
      for (const reader of readers) await reader.sync()
      const said = await Promise.all([alice.say(elsewhere, 'from here'), bob.say(elsewhere, 'from there')])
      for (const reader of readers) assert.deepEqual((await collect(reader, elsewhere, 2)).sort(), said.toSorted())
    })

    test('killed in the middle of everything, a process loses nothing: the other one takes its work over', async () => {
      const { alice, ann, bob } = members()
      const readers = [ann.by(second!.url), bob.by(other!.url)]
      const watcher = alice.by(second!.url)
      for (const reader of [...readers, watcher]) await reader.sync()
      // The first process sends, and fetches a list: the other server has taken the transaction, but the answer is on its way.
      const held = there.balancer.holdAnswers()
      const answered: string[] = []
      const dying = alice.by(first!.url)
      answered.push(await dying.say(roomId, 'before the end'))
      await held
      const refresh = `/_matrix/client/unstable/org.matrix.msc2638/user/${encodeURIComponent(bob.userId)}/devices/refresh`
      const fetching = await dying.ask('POST', refresh, {})
      assert.equal(fetching.status, 202, JSON.stringify(fetching.body))

      const speaking = [
        sayUntilRefused(dying, roomId, answered),
        sayUntilRefused(ann.by(first!.url), roomId, answered),
        sayMany(alice.by(second!.url), roomId, 20, 'beside').then((eventIds) => answered.push(...eventIds)),
      ]
      await collect(ann.by(second!.url), roomId, 5)
      await first!.kill()
      await Promise.all(speaking)
      there.balancer.letGo()

      // What was being said when the end came may be there as well: it is seen once like all the rest.
      const listed = (response: Response) => response.device_lists?.changed?.includes(bob.userId) ?? false
      const [, ...seen] = await Promise.all([
        syncUntil(watcher, 'the list is fetched by the other one', listed),
        ...readers.map((reader) => collectAll(reader, roomId, answered)),
      ])
      for (const one of seen) assert.equal(new Set(one).size, one.length)

      first = await here.serve()
      const back = alice.by(first.url)
      await back.sync()
      const eventId = await ann.by(second!.url).say(roomId, 'welcome back')
      assert.deepEqual(await collect(back, roomId, 1), [eventId])
    })

    test('all end when they are told to', async () => {
      const waiting = members().bob.by(other!.url)
      await waiting.sync()
      assert.deepEqual(await Promise.all([first!.end(), second!.end(), other!.end()]), [0, 0, 0])
    })
  })
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely.
type Response = any

/** The IDs of the messages that a sync shows of a room. */
function timelineOf(response: Response, roomId: string): string[] {
  const events: { type: string; event_id: string }[] = response.rooms?.join?.[roomId]?.timeline.events ?? []
  return events.filter((event) => event.type === 'm.room.message').map((event) => event.event_id)
}

function typists(response: Response, roomId: string): string[] | undefined {
  const events = response.rooms?.join?.[roomId]?.ephemeral?.events ?? []
  return events.find((event: { type: string }) => event.type === 'm.typing')?.content.user_ids
}

async function sayMany(speaker: AlternatingClient, roomId: string, count: number, name: string): Promise<string[]> {
  const eventIds: string[] = []
  for (let index = 0; index < count; index++) eventIds.push(await speaker.say(roomId, `${name}: ${index}`))
  return eventIds
}

/** Speaks until nobody answers any more. @param answered gets the IDs of what was answered */
async function sayUntilRefused(speaker: AlternatingClient, roomId: string, answered: string[]): Promise<void> {
  for (let index = 0; ; index++) {
    const eventId = await speaker.say(roomId, `going on: ${index}`).catch((error: unknown) => {
      if (error instanceof assert.AssertionError) throw error
    })
    if (eventId === undefined) return
    answered.push(eventId)
  }
}

/** The messages of a room that come with a reader's next syncs, in the order in which they come. */
async function collect(reader: AlternatingClient, roomId: string, count: number): Promise<string[]> {
  const seen: string[] = []
  await syncUntil(reader, `${count} messages, of which came ${seen.length}`, (response) => {
    seen.push(...timelineOf(response, roomId))
    return seen.length >= count
  })
  return seen
}

/** The same until all of these have come. */
async function collectAll(reader: AlternatingClient, roomId: string, eventIds: readonly string[]): Promise<string[]> {
  const seen: string[] = []
  await syncUntil(reader, 'all that was answered', (response) => {
    seen.push(...timelineOf(response, roomId))
    return eventIds.every((eventId) => seen.includes(eventId))
  })
  return seen
}

/** Asks until what is answered is right: what another server has to be told first comes when it comes. */
async function agree(asker: AlternatingClient, path: string, check: (body: Response) => void): Promise<void> {
  for (const deadline = performance.now() + 20_000; ; await asker.sync(500)) {
    try {
      return check(await asker.get(path))
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
  }
}
