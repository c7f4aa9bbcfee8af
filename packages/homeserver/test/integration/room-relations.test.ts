import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import type { TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'
import { testRoom } from '../support/test-room.ts'

type Event = { event_id: string }

const relate = (rel_type: string, event_id: string, more: object = {}) => ({
  'm.relates_to': { rel_type, event_id, ...more },
})

async function aliceAndBob(database: TestDatabase) {
  const { servers } = await testNetwork(['hs1'], { database, realRooms: true })
  const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
  const room = await testRoom(alice)
  await room.change(bob, bob, 'join')
  const read = async (client: TestClient, path: string) =>
    client.request('GET', `/_matrix/client/v1${room.path}${path}`)
  const related = async (eventId: string, rest = '') => {
    const { status, body } = await read(alice, `/relations/${encodeURIComponent(eventId)}${rest}`)
    assert.equal(status, 200, JSON.stringify(body))
    return { ...body, ids: body.chunk.map((event: Event) => event.event_id) }
  }
  return { alice, bob, room, read, related }
}

forEachDatabase((database) => {
  describe('what relates to an event', () => {
    test('is chosen by relation and type, in both directions and in pages', async () => {
      const { alice, bob, room, related } = await aliceAndBob(database)
      const root = await room.say(alice, 'root')
      const first = await room.say(alice, 'one', relate('m.thread', root))
      const reaction = await room.send(bob, 'm.reaction', relate('m.annotation', root, { key: 'x' }))
      const second = await room.say(bob, 'two', relate('m.thread', root))
      assert.deepEqual((await related(root)).ids, [second, reaction, first])
      assert.deepEqual((await related(root, '?dir=f')).ids, [first, reaction, second])
      assert.deepEqual((await related(root, '/m.thread')).ids, [second, first])
      assert.deepEqual((await related(root, '/m.annotation/m.reaction')).ids, [reaction])
      assert.deepEqual((await related(root, '/m.annotation/m.room.message')).ids, [])
      const page = await related(root, '?limit=2')
      assert.deepEqual(page.ids, [second, reaction])
      const rest = await related(root, `?limit=2&from=${page.next_batch}`)
      assert.deepEqual([rest.ids, rest.next_batch], [[first], undefined])
      await room.redact(bob, reaction)
      assert.deepEqual((await related(root)).ids, [second, first])
    })

    test('is found over others if asked for', async () => {
      const { alice, room, related } = await aliceAndBob(database)
      const root = await room.say(alice, 'root')
      const child = await room.say(alice, 'child', relate('m.thread', root))
      const grandchild = await room.send(alice, 'm.reaction', relate('m.annotation', child, { key: 'x' }))
      assert.deepEqual((await related(root)).ids, [child])
      assert.equal((await related(root)).recursion_depth, undefined)
      const all = await related(root, '?recurse=true')
      assert.deepEqual([all.ids, all.recursion_depth], [[grandchild, child], 3])
      assert.deepEqual((await related(root, '/m.annotation?recurse=true')).ids, [])
    })

    test('is not for those who may not see the event', async () => {
      const { alice, bob, room, read } = await aliceAndBob(database)
      await room.change(bob, bob, 'leave')
      const root = await room.say(alice, 'root')
      const { status, body } = await read(bob, `/relations/${encodeURIComponent(root)}`)
      assert.deepEqual([status, body.errcode], [404, 'M_NOT_FOUND'])
      const wrong = await read(alice, `/relations/${encodeURIComponent(root)}?from=nonsense`)
      assert.equal(wrong.body.errcode, 'M_INVALID_PARAM')
    })

    test('filters of /messages choose by it', async () => {
      const { alice, bob, room } = await aliceAndBob(database)
      const root = await room.say(alice, 'root')
      await room.say(alice, 'other')
      await room.say(bob, 'answer', relate('m.thread', root))
      for (const filter of [{ related_by_rel_types: ['m.thread'] }, { related_by_senders: [bob.userId] }]) {
        const query = `dir=b&filter=${encodeURIComponent(JSON.stringify(filter))}`
        const { body } = await room.get(alice, `/messages?${query}`)
        assert.deepEqual(
          body.chunk.map((event: Event) => event.event_id),
          [root],
        )
      }
    })
  })

  describe('threads', () => {
    test('are listed by what was said in them last, all or those one takes part in', async () => {
      const { alice, bob, room, read } = await aliceAndBob(database)
      const roots = [await room.say(alice, 'a'), await room.say(bob, 'b'), await room.say(alice, 'c')]
      await room.say(bob, 'no thread')
      for (const root of [1, 2, 0, 1]) await room.say(alice, 'answer', relate('m.thread', roots[root]!))
      const list = async (client: TestClient, query = '') => {
        const { status, body } = await read(client, `/threads${query}`)
        assert.equal(status, 200, JSON.stringify(body))
        return { ...body, found: body.chunk.map((event: Event) => roots.indexOf(event.event_id)) }
      }
      const all = await list(bob)
      assert.deepEqual(all.found, [1, 0, 2])
      assert.equal(all.chunk[0].unsigned['m.relations']['m.thread'].count, 2)
      assert.deepEqual((await list(bob, '?include=participated')).found, [1])
      assert.deepEqual((await list(alice, '?include=participated')).found, [1, 0, 2])
      const page = await list(bob, '?limit=2')
      assert.deepEqual(page.found, [1, 0])
      const rest = await list(bob, `?limit=2&from=${page.next_batch}`)
      assert.deepEqual([rest.found, rest.next_batch], [[2], undefined])
      for (const query of ['?include=none', '?limit=0', '?from=x']) {
        assert.equal((await read(bob, `/threads${query}`)).body.errcode, 'M_INVALID_PARAM', query)
      }
    })
  })

  describe('whoever is ignored', () => {
    test('counts in no thread, begins none that can be read, and edits nothing', async () => {
      const { alice, bob, room, read } = await aliceAndBob(database)
      const [ours, theirs] = [await room.say(alice, 'ours'), await room.say(bob, 'theirs')]
      await room.say(bob, 'ignored', relate('m.thread', ours))
      const heard = await room.say(alice, 'heard', relate('m.thread', ours))
      await room.say(bob, 'later', relate('m.thread', ours))
      await room.say(alice, 'answer', relate('m.thread', theirs))
      await room.say(bob, '* edited', { ...relate('m.replace', theirs), 'm.new_content': { body: 'edited' } })
      const path = `/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`
      await alice.request('PUT', path, { ignored_users: { [bob.userId]: {} } })
      const [first, second] = (await read(alice, '/threads')).body.chunk
      assert.deepEqual([first.event_id, first.content], [theirs, {}])
      assert.equal(first.unsigned['m.relations']['m.replace'], undefined)
      const thread = second.unsigned['m.relations']['m.thread']
      assert.deepEqual([second.event_id, thread.count, thread.latest_event.event_id], [ours, 1, heard])
      const related = (await read(alice, `/relations/${encodeURIComponent(ours)}`)).body.chunk
      assert.deepEqual(
        related.map((event: Event) => event.event_id),
        [heard],
      )
    })
  })

  describe('saying something about an event', () => {
    test('the same annotation is made once, until it is redacted', async () => {
      const { alice, bob, room } = await aliceAndBob(database)
      const root = await room.say(alice, 'root')
      const react = (client: TestClient, txn: string, key: string) =>
        client.request('PUT', `${room.path}/send/m.reaction/${txn}`, relate('m.annotation', root, { key }))
      const { body: first } = await react(alice, '1', 'x')
      const again = await react(alice, '2', 'x')
      assert.deepEqual([again.status, again.body.errcode], [400, 'M_DUPLICATE_ANNOTATION'])
      assert.equal((await react(alice, '1', 'x')).body.event_id, first.event_id)
      assert.equal((await react(alice, '3', 'y')).status, 200)
      assert.equal((await react(bob, '4', 'x')).status, 200)
      await room.redact(alice, first.event_id)
      assert.equal((await react(alice, '5', 'x')).status, 200)
    })

    test('a thread does not begin within another', async () => {
      const { alice, room } = await aliceAndBob(database)
      const root = await room.say(alice, 'root')
      const answer = await room.say(alice, 'answer', relate('m.thread', root))
      const content = { body: 'x', ...relate('m.thread', answer) }
      const { status, body } = await alice.request('PUT', `${room.path}/send/m.room.message/nested`, content)
      assert.deepEqual([status, body.errcode], [400, 'M_UNKNOWN'])
    })

    test('a redaction can be sent like any other event', async () => {
      const { alice, bob, room } = await aliceAndBob(database)
      const said = await room.say(alice, 'oops')
      await room.send(alice, 'm.room.redaction', { redacts: said, reason: 'typo' })
      const { body } = await room.get(alice, `/event/${encodeURIComponent(said)}`)
      assert.deepEqual([body.content, body.unsigned.redacted_because.content.reason], [{}, 'typo'])
      const refused = async (content: object) => {
        const { status, body } = await alice.request('PUT', `${room.path}/send/m.room.redaction/none`, content)
        return [status, body.errcode]
      }
      assert.deepEqual(await refused({}), [400, 'M_BAD_JSON'])
      const elsewhere = await (await testRoom(alice, { name: 'Elsewhere' })).say(alice, 'hello')
      assert.deepEqual(await refused({ redacts: elsewhere }), [400, 'M_INVALID_PARAM'])
      // What is not here may be elsewhere: those with the power may redact it.
      const unknown = { redacts: '$unknown' }
      assert.equal((await bob.request('PUT', `${room.path}/send/m.room.redaction/none`, unknown)).status, 403)
      assert.equal((await refused(unknown))[0], 200)
    })
  })
})
