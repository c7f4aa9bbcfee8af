import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { createMetrics } from '../../src/http/ops/metrics.ts'
import { forEachDatabase, onSqlite } from '../support/databases.ts'
import { promote } from '../support/promote.ts'
import * as answers from '../support/remote-answers.ts'
import type { TestClient } from '../support/test-client.ts'
import type { TestServer } from '../support/test-server.ts'
import { type AliceAndBob, encryptedFriends, friends } from './alice-and-bob.ts'

const LISTS = '/_evergreen/client/v1/device_lists'
const ADMIN = '/_evergreen/admin/v1'

type News = { lists: { user_id: string; state: string }[]; removed: string[] }

/** Opens the stream of a client. `next` gives the next event that is not a comment, once it is there. */
async function openStream(server: TestServer, client: TestClient) {
  const response = await server.homeserver.app.inject({
    method: 'GET',
    url: LISTS,
    headers: { accept: 'text/event-stream', authorization: `Bearer ${client.accessToken}` },
    payloadAsStream: true,
  })
  const stream = response.stream()
  let text = ''
  let ended = false
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8')
  })
  stream.once('end', () => {
    ended = true
  })
  return {
    status: response.statusCode,
    ended: () => ended,
    events(): [string, News][] {
      const events = text.split('\n\n').flatMap((event) => {
        const found = /^event: (\w+)\ndata: (.*)$/.exec(event)
        return found ? [[found[1]!, JSON.parse(found[2]!)] as [string, News]] : []
      })
      text = ''
      return events
    },
  }
}

async function adminOf({ servers }: AliceAndBob): Promise<TestClient> {
  const root = await servers.hs1.register('root')
  await promote(servers.hs1.homeserver, root.userId)
  return root
}

forEachDatabase((database) => {
  test('operators are told how many lists were stale, every ten minutes', async () => {
    const world = await encryptedFriends(database)
    const { bob, far, advance, settle } = world
    const root = await adminOf(world)
    far.answerAlways({ endpoint: 'devices' }, answers.status(403))
    bob.addDevice('LOST')
    await far.sendEdus('hs1', [bob.addDevice('TABLET')])
    await settle()
    await advance(25 * 60_000)
    const { body } = await root.request('GET', `${ADMIN}/device_list_counts?since=0`)
    const counts = body.counts as { at: number; reason: string; age: number; count: number }[]
    const now = world.clock.now()
    assert.deepEqual(
      counts.map(({ reason, count }) => [reason, count]),
      [
        ['', 0],
        ['gap', 1],
        ['gap', 1],
        ['gap', 1],
      ],
    )
    assert.ok(counts.slice(0, -1).every(({ at }, nth) => at % 600_000 === 0 && at === counts[0]!.at + nth * 600_000))
    assert.deepEqual([counts.at(-1)!.at, counts.at(-1)!.age], [now, 2])
    assert.deepEqual(body.age_bounds, [60_000, 600_000, 3_600_000, 86_400_000])
    const later = await root.request('GET', `${ADMIN}/device_list_counts?since=${now - 600_000}`)
    assert.equal(later.body.counts.length, 2)
    const [alice] = [world.alice]
    assert.equal((await alice.request('GET', `${ADMIN}/device_list_counts`)).status, 403)
  })

  describe('everybody', () => {
    test('is shown the lists of those with whom they share encrypted rooms, and nobody else', async () => {
      const { alice, bob, far, servers, settle } = await encryptedFriends(database)
      const carol = await servers.hs1.register('carol')
      assert.deepEqual((await carol.request('GET', LISTS)).body, { lists: [] })
      const { body } = await alice.request('GET', LISTS)
      assert.deepEqual(
        body.lists.map((list: News['lists'][0]) => [list.user_id, list.state]),
        [[bob.userId, 'fresh']],
      )
      far.answerAlways({ endpoint: 'devices' }, answers.status(400))
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      const { body: later } = await alice.request('GET', LISTS)
      assert.equal(later.lists[0].state, 'failing')
    })

    test('may follow them as a stream, which ends with the session', async () => {
      const world = await encryptedFriends(database)
      const { alice, bob, far, rooms, servers, settle, advance } = world
      const stream = await openStream(servers.hs1, alice)
      await settle()
      assert.deepEqual(
        stream.events().map(([name, { lists }]) => [name, lists.map((list) => list.state)]),
        [['state', ['fresh']]],
      )
      far.answerNext({ endpoint: 'devices' }, answers.status(503))
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await advance(10_000)
      const states = stream.events().flatMap(([name, { lists }]) => lists.map((list) => [name, list.state]))
      assert.deepEqual(states, [
        ['update', 'failing'],
        ['update', 'fresh'],
      ])
      await rooms.unshare([alice, bob])
      await advance(10_000)
      assert.deepEqual(stream.events(), [['update', { lists: [], removed: [bob.userId] }]])
      await alice.request('POST', '/logout')
      await settle()
      assert.ok(stream.ended())
    })

    test('may have a few streams, and none with a token in the address', async () => {
      const { alice, servers, settle, advance } = await encryptedFriends(database)
      const second = await alice.login('SECOND')
      for (let n = 0; n < 4; n++) await openStream(servers.hs1, alice)
      await openStream(servers.hs1, second)
      await settle()
      assert.equal((await openStream(servers.hs1, alice)).status, 429)
      await second.request('POST', '/logout')
      await settle()
      assert.equal((await openStream(servers.hs1, alice)).status, 200)
      const response = await servers.hs1.homeserver.app.inject({
        method: 'GET',
        url: `${LISTS}?access_token=${alice.accessToken}`,
        headers: { accept: 'text/event-stream' },
      })
      assert.equal(response.statusCode, 401)
      await advance(30_000)
    })
  })

  describe('operators', () => {
    test('see lists by state and server, what each went through, and the servers; others are refused', async () => {
      const world = await friends(database)
      const { alice, bob, far, settle } = world
      const root = await adminOf(world)
      for (const path of ['/device_lists', `/device_lists/${encodeURIComponent(bob.userId)}`, '/destinations'])
        assert.equal((await alice.request('GET', ADMIN + path)).status, 403)
      assert.equal((await alice.request('POST', `${ADMIN}/device_lists/refresh`, { stale: true })).status, 403)
      far.answerAlways({ endpoint: 'devices' }, answers.status(503))
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      const get = async (path: string) => (await root.request('GET', ADMIN + path)).body
      const ids = async (query: string) =>
        (await get(`/device_lists?${query}`)).lists.map((list: { userId: string }) => list.userId)
      assert.deepEqual(await ids('state=failing'), [bob.userId])
      assert.deepEqual(await ids(`server=${far.serverName}&reason=gap`), [bob.userId])
      assert.deepEqual(await ids('state=fresh'), [])
      assert.deepEqual(await ids('state=stale&min_age=60000'), [])
      assert.equal((await get('/device_lists?state=odd')).errcode, 'M_INVALID_PARAM')
      const one = await get(`/device_lists/${encodeURIComponent(bob.userId)}`)
      assert.deepEqual(
        one.history.slice(0, 2).map((step: { event: string }) => step.event),
        ['failed', 'doubted'],
      )
      assert.equal((await get('/device_lists/@nobody:far.example')).errcode, 'M_NOT_FOUND')
      const { destinations } = await get('/destinations?failing=true')
      assert.deepEqual(
        destinations.map((one: { server: string }) => one.server),
        [far.serverName],
      )
    })

    test('fetch one list, those of a server, and all that are stale', async () => {
      const world = await friends(database)
      const { bob, far, settle } = world
      const root = await adminOf(world)
      const post = (path: string, body?: object) => root.request('POST', ADMIN + path, body)
      const one = await post(`/device_lists/${encodeURIComponent(bob.userId)}/refresh`)
      assert.equal(one.body.outcome, 'fresh')
      assert.equal(far.gets(bob), 2)
      assert.deepEqual((await post('/device_lists/refresh', { server: far.serverName })).body, { lists: 1 })
      await settle()
      assert.equal(far.gets(bob), 3)
      far.answerNext({ endpoint: 'devices' }, answers.status(404, { errcode: 'M_NOT_FOUND' }))
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      assert.deepEqual((await post('/device_lists/refresh', { stale: true })).body, { lists: 1 })
      await settle()
      assert.equal(far.gets(bob), 5)
      assert.equal((await post('/device_lists/refresh', {})).status, 400)
    })
  })
})

onSqlite((database) => {
  test('metrics tell of lists, doubts and servers', async () => {
    const { bob, far, servers, settle } = await friends(database)
    far.answerAlways({ endpoint: 'devices' }, answers.status(503))
    bob.addDevice('LOST')
    await far.sendEdus('hs1', [bob.addDevice('TABLET')])
    await settle()
    const metrics = await createMetrics()
    metrics.deviceLists.resyncEnded('down')
    metrics.deviceLists.becameFresh(1_500)
    const listener = createServer(metrics.handler(servers.hs1.homeserver.ctx))
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    try {
      const base = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`
      const text = await (await fetch(`${base}/metrics`)).text()
      assert.match(text, /evergreen_device_lists\{state="failing",reason="gap"\} 1/)
      assert.match(text, /evergreen_device_list_resyncs_total\{outcome="down"\} 1/)
      assert.match(text, /evergreen_device_list_time_to_fresh_seconds_bucket\{le="2"\} 1/)
      assert.match(text, /evergreen_destination_breakers\{state="failing"\} 1/)
      assert.match(text, /process_cpu_seconds_total/)
      assert.equal((await fetch(`${base}/`)).status, 404)
    } finally {
      listener.close()
    }
  })
})
