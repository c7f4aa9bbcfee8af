import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Store } from '../../src/storage/store.ts'
import { forEachDatabase } from '../support/databases.ts'
import { garbageBody, garbageText, garbageValue, namesIn, spoilt } from '../support/garbage.ts'
import { edited } from '../support/remote-answers.ts'
import type { ClientAnswer, TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'
import type { TestServer } from '../support/test-server.ts'

// Shaped garbage for every route and for what reads other servers' words: what is refused is refused by the specification's
// rules, nothing breaks, and what is refused leaves nothing behind.

const RUNS = 30
/** What is noted of other servers and their users is noted whatever comes of it. */
const OF_OTHERS = /^(destinations|device_lists?|device_list_.*|server_keys|notary_responses|received_.*)$/

const query = (names: readonly string[]) => {
  const known = [
    'since',
    'filter',
    'full_state',
    'from',
    'to',
    'version',
    'username',
    'token',
    'user_id',
    'kind',
    'limit',
    'dir',
  ]
  const name = fc.constantFrom(...known, ...names)
  return fc.dictionary(name, garbageText, { maxKeys: 3 })
}

/** What each parameter of a path is called when it is in earnest. */
function parametersOf({ userId, deviceId }: TestClient, roomId: string): Record<string, string> {
  return {
    ...{ userId, deviceId, roomId, roomIdOrAlias: roomId, keyName: 'displayname', type: 'org.example.type' },
    ...{ kind: 'override', ruleId: '.m.rule.master', version: '1', sessionId: 's', eventType: 'm.room.topic' },
    ...{ stateKey: 'x', txnId: 't1', serverName: 'far.example', keyId: 'ed25519:1', eventId: '$event', filterId: '0' },
    ...{ roomAlias: '#alias:hs1', receiptType: 'm.read', tag: 'u.x', relType: 'm.thread' },
  }
}

/** A path with its parameters filled in: those in earnest where nothing else is given. */
function pathOf(
  pattern: string,
  given: readonly (string | undefined)[],
  good: Record<string, string>,
  search: object,
): string {
  let next = 0
  const path = pattern.replace(
    /:([A-Za-z]+)/g,
    (_, name: string) => encodeURIComponent((given[next++] ?? good[name] ?? 'x').toWellFormed()) || 'x',
  )
  const params = Object.entries(search).map(([name, text]): [string, string] => [name, (text as string).toWellFormed()])
  // Time stands still here: nothing may wait for it.
  return `${path}?${new URLSearchParams([...params.filter(([name]) => name !== 'timeout'), ['timeout', '0']])}`
}

/** How many rows there are in each table. */
async function rowsIn({ db }: Store): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const { name } of await db.introspection.getTables()) {
    if (OF_OTHERS.test(name)) continue
    const rows = db.selectFrom(name as never).select(({ fn }) => fn.countAll<number>().as('count'))
    counts.set(name, Number((await rows.executeTakeFirstOrThrow()).count))
  }
  return counts
}

function checkAnswer({ status, body }: { status: number; body: ClientAnswer['body'] }): void {
  assert.notEqual(status, 500)
  if (status >= 400 && status !== 401) assert.equal(typeof body.errcode, 'string')
}

forEachDatabase((database) => {
  test('no route breaks, whatever it is given, and what is refused leaves nothing behind', async (t) => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const { hs1 } = servers
    const { app, ctx } = hs1.homeserver
    const far = remote('far.example')
    far.addUser('bob').addDevice('PHONE')
    const asSomebody = somebodyOf(hs1)
    const routes = app.allRoutes().filter(({ method }) => method !== 'HEAD')
    assert.ok(routes.length > 100, `${routes.length}`)
    for (const { method, pattern, schema } of routes) {
      await t.test(`${method} ${pattern}`, async () => {
        const names = namesIn(schema)
        await asSomebody()
        const before = await rowsIn(ctx.store)
        let onlyRefused = true
        const property = fc.asyncProperty(
          fc.array(fc.option(garbageText, { nil: undefined, freq: 1 }), { maxLength: 4 }),
          query(names),
          garbageBody(names),
          async (given, search, content) => {
            const somebody = await asSomebody()
            if (somebody.isNew) onlyRefused = false
            const path = pathOf(pattern, given, somebody.good, search)
            const body = method === 'GET' ? undefined : JSON.stringify(content)
            const signed = pattern.startsWith('/_matrix/federation/')
            const answer = signed
              ? await far.request('hs1', { method: method as 'GET', path, ...(body ? { body: JSON.parse(body) } : {}) })
              : await hs1.ask({ method, path, body, token: somebody.client.accessToken })
            checkAnswer(answer)
            if (answer.status < 400 || answer.status === 401) onlyRefused = false
          },
        )
        await fc.assert(property, { numRuns: RUNS, seed: 1 })
        if (onlyRefused) assert.deepEqual(await rowsIn(ctx.store), before)
      })
    }
  })

  test('no text for JSON breaks a route either', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const { ask, register } = servers.hs1
    const { accessToken: token } = await register('alice')
    const path = '/_matrix/client/v3/keys/query'
    const property = fc.asyncProperty(fc.string({ maxLength: 40, unit: 'binary' }), async (text) => {
      const { status, body: answer } = await ask({ method: 'POST', path, body: text, token })
      assert.ok(status === 400 && ['M_NOT_JSON', 'M_BAD_JSON'].includes(answer.errcode), `${status} ${answer.errcode}`)
    })
    await fc.assert(property, { numRuns: 200, seed: 1 })
  })

  test('spoilt EDUs fail neither their transaction nor their neighbours', async () => {
    const { servers, remote, rooms, settle } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    const far = remote('far.example')
    const bob = far.addUser('bob')
    const [device, keys] = [bob.addDevice('PHONE'), bob.setCrossSigning()]
    await rooms.share([alice, bob])
    await settle()
    const content = (sent: number) => ({
      sender: bob.userId,
      type: 'x',
      message_id: `good${sent}`,
      messages: { [alice.userId]: { '*': { n: sent } } },
    })
    const good = [
      { edu_type: 'm.direct_to_device', content: content(-1) },
      { ...device, content: { ...device.content, stream_id: 9, prev_id: [1] } },
      keys,
      { edu_type: 'm.typing', content: { room_id: '!r:hs1', user_id: bob.userId, typing: true } },
      {
        edu_type: 'm.receipt',
        content: { '!r:hs1': { 'm.read': { [bob.userId]: { event_ids: ['$e'], data: { ts: 1 } } } } },
      },
      { edu_type: 'm.presence', content: { push: [{ user_id: bob.userId, presence: 'online', last_active_ago: 1 }] } },
    ]
    let sent = 0
    await alice.sync()
    const property = fc.asyncProperty(fc.tuple(...good.map(spoilt)), async (edus) => {
      const neighbour = { edu_type: 'm.direct_to_device', content: content(++sent) }
      const answer = await far.sendEdus('hs1', [...edus, neighbour] as never, `t${sent}`)
      assert.equal(answer.status, 200)
      const { to_device: inbox } = await alice.sync()
      assert.ok(inbox.events.some((event: { content: { n: unknown } }) => event.content.n === sent))
    })
    await fc.assert(property, { numRuns: 60, seed: 1 })
  })

  test('spoilt answers of other servers break nothing', async () => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    const far = remote('far.example')
    let users = 0
    const property = fc.asyncProperty(fc.nat(), fc.boolean(), garbageValue(), async (seed, whole, garbage) => {
      const bob = far.addUser(`bob${users++}`)
      bob.addDevice('PHONE')
      bob.setCrossSigning()
      for (const endpoint of ['devices', 'query', 'claim'] as const) {
        const spoil = (body: unknown) => (whole ? garbage : fc.sample(spoilt(body), { numRuns: 1, seed })[0])
        far.answerNext({ endpoint }, edited(spoil))
      }
      const user = encodeURIComponent(bob.userId)
      checkAnswer(await alice.request('POST', `/user/${user}/devices/refresh`))
      checkAnswer(await alice.request('POST', '/keys/query', { device_keys: { [bob.userId]: [] } }))
      const one_time_keys = { [bob.userId]: { PHONE: 'signed_curve25519' } }
      checkAnswer(await alice.request('POST', '/keys/claim', { one_time_keys }))
      checkAnswer(await alice.request('GET', `/profile/${user}`))
      far.answerNormally()
    })
    await fc.assert(property, { numRuns: 60, seed: 1 })
  })
})

/** Garbage that happens to log out, delete the device or close the account ends a session: then the next one begins. */
function somebodyOf(server: TestServer) {
  let client: TestClient | undefined
  let good: Record<string, string> = {}
  let names = 0
  return async () => {
    const known = client && (await client.request('GET', '/account/whoami'))
    if (client && known?.status === 200) return { client, good, isNew: false }
    client = await server.register(`user${names++}`)
    const room = await client.request('POST', '/createRoom', { preset: 'public_chat' })
    good = parametersOf(client, room.body.room_id ?? '!room:hs1')
    return { client, good, isNew: true }
  }
}
