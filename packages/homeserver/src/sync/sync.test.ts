import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { type ClientAnswer, confirmation, type TestClient } from '../../test/support/test-client.ts'
import { testNetwork } from '../../test/support/test-network.ts'

const codes = ({ status, body }: ClientAnswer) => [status, body.errcode]
const setData = (client: TestClient, type: string, content: object = {}) =>
  client.request('PUT', `/user/${encodeURIComponent(client.userId)}/account_data/${type}`, content)
const sync = (client: TestClient, query: Record<string, string> = {}) =>
  client.request('GET', `/sync?${new URLSearchParams(query)}`)
const typesIn = ({ account_data: data }: ClientAnswer['body']): string[] =>
  data.events.map(({ type }: { type: string }) => type)
const position = (token: string) => Number(token.split('_')[1])

forEachDatabase((database) => {
  async function start() {
    const net = await testNetwork(['hs1'], { database })
    return { ...net, hs1: net.servers.hs1, alice: await net.servers.hs1.register('alice') }
  }

  test('the first sync has all sections but the changes of device lists', async () => {
    const { alice } = await start()
    const { next_batch: nextBatch, account_data: data, presence, ...rest } = await alice.sync()
    assert.equal(typeof nextBatch, 'string')
    assert.deepEqual(
      presence.events.map(({ sender }: { sender: string }) => sender),
      [alice.userId],
    )
    assert.deepEqual(
      data.events.map(({ type }: { type: string }) => type),
      ['m.push_rules'],
    )
    assert.deepEqual(rest, {
      to_device: { events: [] },
      device_one_time_keys_count: {},
      device_unused_fallback_key_types: [],
      rooms: { join: {}, invite: {}, knock: {}, leave: {} },
    })
  })

  test('a later sync has what is new alone, and the same again for the same token', async () => {
    const { alice } = await start()
    await setData(alice, 'org.example.before')
    await alice.sync()
    const { since } = alice
    const nothing = await alice.sync()
    assert.deepEqual(nothing, {
      next_batch: since,
      account_data: { events: [] },
      presence: { events: [] },
      to_device: { events: [] },
      device_lists: { changed: [], left: [] },
      device_one_time_keys_count: {},
      device_unused_fallback_key_types: [],
      rooms: { join: {}, invite: {}, knock: {}, leave: {} },
    })
    await setData(alice, 'org.example.new', { n: 1 })
    await alice.login()
    const first = await alice.sync()
    alice.since = since
    assert.deepEqual(await alice.sync(), first)
    assert.deepEqual(first.account_data.events, [{ type: 'org.example.new', content: { n: 1 } }])
    assert.deepEqual(first.device_lists, { changed: [alice.userId], left: [] })
  })

  test('the counts of keys are in every sync', async () => {
    const { alice } = await start()
    await alice.uploadKeys(3)
    for (let n = 0; n < 2; n++) {
      assert.deepEqual((await alice.sync()).device_one_time_keys_count, { signed_curve25519: 3 })
    }
    const tablet = await alice.login()
    assert.deepEqual((await tablet.sync()).device_one_time_keys_count, {})
  })

  for (const [name, news] of [
    ['account data', (alice: TestClient) => setData(alice, 'org.example.new')],
    ['a new device', (alice: TestClient) => alice.login()],
    [
      'a claimed key',
      ({ userId, deviceId, request }: TestClient) =>
        request('POST', '/keys/claim', { one_time_keys: { [userId]: { [deviceId]: 'signed_curve25519' } } }),
    ],
    ['a message', ({ userId, request }: TestClient) => message(request, userId)],
  ] as const) {
    test(`a sync that waits is ended by ${name}, at once`, async () => {
      const { alice, clock, settle } = await start()
      await alice.uploadKeys(1)
      await alice.sync()
      let ended = false
      const waiting = alice.sync({ timeout: 30_000 }).finally(() => {
        ended = true
      })
      await settle()
      assert.equal(ended, false)
      const before = clock.now()
      await news(alice)
      await waiting
      assert.equal(clock.now(), before)
    })
  }

  test("a sync that waits is not ended by what is another's, and ends without news when its time is over", async () => {
    const { hs1, alice, advance, settle } = await start()
    const bob = await hs1.register('bob')
    await alice.sync()
    let ended = false
    const waiting = alice.sync({ timeout: 30_000 }).finally(() => {
      ended = true
    })
    await settle()
    await setData(bob, 'org.example.new')
    await bob.login()
    await advance(29_999)
    assert.equal(ended, false)
    await advance(1)
    const { account_data: data, device_lists: lists } = await waiting
    assert.deepEqual([data.events, lists.changed], [[], []])
  })

  describe('right after a device was told of changed lists alone', () => {
    async function justTold() {
      const net = await start()
      const { alice, hs1, rooms } = net
      const bob = await hs1.register('bob')
      const carol = await hs1.register('carol')
      await rooms.share([alice, bob, carol])
      await alice.sync()
      await bob.login()
      assert.deepEqual((await alice.sync({ timeout: 30_000 })).device_lists.changed, [bob.userId])
      return { ...net, bob, carol }
    }

    test('what changes next is gathered a little while', async () => {
      const { alice, bob, carol, clock, settle, advance } = await justTold()
      await bob.login()
      let ended = false
      const waiting = alice.sync({ timeout: 30_000 }).finally(() => {
        ended = true
      })
      await settle()
      await carol.login()
      await advance(19)
      assert.equal(ended, false)
      await advance(1)
      assert.equal(ended, true)
      assert.deepEqual((await waiting).device_lists.changed.sort(), [bob.userId, carol.userId])
      await advance(20)
      await bob.login()
      const before = clock.now()
      assert.deepEqual((await alice.sync({ timeout: 30_000 })).device_lists.changed, [bob.userId])
      assert.equal(clock.now(), before)
    })

    test('a sync that is not to wait is answered at once, and one that waits less in its time', async () => {
      const { alice, bob, settle, advance } = await justTold()
      await bob.login()
      assert.deepEqual((await alice.sync()).device_lists.changed, [bob.userId])
      await bob.login()
      const waiting = alice.sync({ timeout: 5 })
      await settle()
      await advance(5)
      assert.deepEqual((await waiting).device_lists.changed, [bob.userId])
    })

    test('another device is not held up, nor is this one once it was told of something else', async () => {
      const { alice, bob, clock, advance } = await justTold()
      const before = clock.now()
      const tablet = await bob.login()
      await tablet.sync()
      await bob.login()
      assert.deepEqual((await tablet.sync({ timeout: 30_000 })).device_lists.changed, [bob.userId])
      assert.equal(clock.now(), before)
      await advance(20)
      for (let n = 0; n < 2; n++) {
        await bob.login()
        await setData(alice, 'org.example.new', { n })
        assert.deepEqual((await alice.sync({ timeout: 30_000 })).device_lists.changed, [bob.userId])
      }
      assert.equal(clock.now(), before + 20)
    })

    test('a server that stops does not wait for it', async () => {
      const { alice, bob, hs1, settle } = await justTold()
      await bob.login()
      const waiting = alice.sync({ timeout: 30_000 })
      await settle()
      await hs1.stop()
      await waiting
    })
  })

  test('a sync without a token, of the full state, or with news does not wait', async () => {
    const { alice } = await start()
    await alice.sync({ timeout: 30_000 })
    await alice.sync({ timeout: 30_000, full_state: true })
    await setData(alice, 'org.example.new')
    assert.deepEqual(typesIn(await alice.sync({ timeout: 30_000 })), ['org.example.new'])
    await alice.sync()
    await alice.sync({ timeout: 0 })
  })

  test('syncs of a user that wait at the same time are all ended', async () => {
    const { alice, settle } = await start()
    const clients = [alice, await alice.login(), await alice.login()]
    for (const client of clients) await client.sync()
    const waiting = clients.map((client) => client.sync({ timeout: 30_000 }))
    await settle()
    await setData(alice, 'org.example.new')
    for (const body of await Promise.all(waiting)) assert.deepEqual(typesIn(body), ['org.example.new'])
  })

  test('a server that stops ends the syncs that wait with what there is', async () => {
    const { hs1, alice, settle } = await start()
    await alice.sync()
    const { since } = alice
    const waiting = alice.sync({ timeout: 30_000 })
    await settle()
    await hs1.stop()
    assert.equal((await waiting).next_batch, since)
    await hs1.start()
    assert.deepEqual(typesIn(await alice.sync()), [])
  })

  test('tokens and times that are none are refused', async () => {
    const { alice } = await start()
    const { next_batch: since } = await alice.sync()
    for (const wrong of ['x', '1', 's2_1', 's1_', 's1_-1', 's1_1_2_3', `${since} `, "s1_1'--"]) {
      assert.deepEqual(codes(await sync(alice, { since: wrong })), [400, 'M_INVALID_PARAM'], wrong)
    }
    for (const timeout of ['-1', 'soon', '1.5', '9'.repeat(13)]) {
      assert.deepEqual(codes(await sync(alice, { since, timeout })), [400, 'M_INVALID_PARAM'], timeout)
    }
    assert.equal((await sync(alice, { since: '', timeout: '' })).status, 200)
  })

  test('a token ahead of the stream, as after a backup was restored, brings everything again', async () => {
    const { alice } = await start()
    await setData(alice, 'org.example.kept')
    alice.since = 's1_999999'
    const body = await alice.sync({ timeout: 30_000 })
    assert.deepEqual(typesIn(body).sort(), ['m.push_rules', 'org.example.kept'])
    assert.deepEqual(body.device_lists.changed, [alice.userId])
    assert.ok(position(body.next_batch) < 999_999)
    assert.deepEqual(typesIn(await alice.sync()), [])
  })

  test('a filter chooses account data, by its ID or in place', async () => {
    const { hs1, alice } = await start()
    for (const type of ['org.example.one', 'org.example.two']) await setData(alice, type)
    const path = `/user/${encodeURIComponent(alice.userId)}/filter`
    const definition = { account_data: { types: ['org.example.*'], not_types: ['*.two'] } }
    const { filter_id: id } = (await alice.request('POST', path, definition)).body
    for (const filter of [id, JSON.stringify(definition)]) {
      assert.deepEqual(typesIn((await sync(alice, { filter })).body), ['org.example.one'], filter)
    }
    assert.deepEqual(typesIn((await sync(alice, { filter: '{"account_data":{"types":[]}}' })).body), [])
    assert.equal(typesIn((await sync(alice, { filter: '{"account_data":{"limit":1}}' })).body).length, 1)
    assert.equal(typesIn((await sync(alice, { filter: '' })).body).length, 3)
    const bob = await hs1.register('bob')
    assert.deepEqual(codes(await sync(bob, { filter: id })), [400, 'M_INVALID_PARAM'])
    assert.deepEqual(codes(await sync(alice, { filter: 'none' })), [400, 'M_INVALID_PARAM'])
    assert.deepEqual(codes(await sync(alice, { filter: '{"account_data"' })), [400, 'M_BAD_JSON'])
    assert.equal((await sync(alice, { filter: '{"account_data":{"types":"x"}}' })).status, 400)
  })

  test('what a filter leaves out does not end a sync that waits', async () => {
    const { alice, settle } = await start()
    await alice.sync()
    let ended = false
    const filter = JSON.stringify({ account_data: { not_types: ['org.example.*'] } })
    const waiting = alice.sync({ timeout: 30_000, filter }).finally(() => {
      ended = true
    })
    await settle()
    await setData(alice, 'org.example.unwanted')
    await settle()
    assert.equal(ended, false)
    await setData(alice, 'wanted')
    assert.deepEqual(typesIn(await waiting), ['wanted'])
  })

  test('r0 is the same, and a session is needed', async () => {
    const { hs1, alice } = await start()
    assert.equal((await alice.request('GET', '/_matrix/client/r0/sync')).status, 200)
    assert.deepEqual(codes(await hs1.ask({ method: 'GET', path: '/_matrix/client/v3/sync' })), [401, 'M_MISSING_TOKEN'])
  })

  test('a sync that waits is ended when its device is deleted, and the next is refused', async () => {
    const { alice, settle } = await start()
    const tablet = await alice.login('TABLET')
    await tablet.sync()
    const waiting = tablet.sync({ timeout: 30_000 })
    await settle()
    await alice.request('DELETE', '/devices/TABLET', { auth: confirmation(alice) })
    await waiting
    await assert.rejects(tablet.sync(), /M_UNKNOWN_TOKEN/)
  })

  test('/keys/changes tells the same as the syncs between its tokens', async () => {
    const { hs1, alice, rooms } = await start()
    const bob = await hs1.register('bob')
    await rooms.share([alice, bob])
    const { next_batch: from } = await alice.sync()
    await bob.login()
    const { next_batch: middle } = await alice.sync()
    await alice.login()
    const { next_batch: to } = await alice.sync()
    const changes = async (query: Record<string, string>) =>
      alice.request('GET', `/keys/changes?${new URLSearchParams(query)}`)
    const told = async (query: Record<string, string>) => (await changes(query)).body.changed.sort()
    assert.deepEqual(await told({ from, to: middle }), [bob.userId])
    assert.deepEqual(await told({ from: middle, to }), [alice.userId])
    assert.deepEqual(await told({ from, to }), [alice.userId, bob.userId])
    assert.deepEqual(await told({ from }), [alice.userId, bob.userId])
    assert.deepEqual(await told({ from: to, to: from }), [])
    for (const query of [{}, { from: 'x', to }, { from, to: 'x' }]) {
      assert.deepEqual(codes(await changes(query)), [400, 'M_INVALID_PARAM'])
    }
  })
})

function message(request: TestClient['request'], userId: string): Promise<ClientAnswer> {
  return request('PUT', '/sendToDevice/x/1', { messages: { [userId]: { '*': {} } } })
}
