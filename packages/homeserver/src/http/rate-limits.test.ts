import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onSqlite } from '../../test/support/databases.ts'
import { testNetwork } from '../../test/support/test-network.ts'

const LOGIN = { method: 'POST', path: '/_matrix/client/v3/login', body: { type: 'none' } }

onSqlite((database) => {
  test('who asks too often is told to wait, and for how long', async () => {
    const { servers, advance } = await testNetwork(['hs1'], { database, settings: { rateLimits: true } })
    const { ask } = servers.hs1
    for (let i = 0; i < 120; i++) assert.equal((await ask(LOGIN)).status, 400)
    const { status, body, headers } = await ask(LOGIN)
    assert.deepEqual([status, body.errcode, body.retry_after_ms], [429, 'M_LIMIT_EXCEEDED', 500])
    assert.equal(headers['retry-after'], '1')
    await advance(500)
    assert.equal((await ask(LOGIN)).status, 400)
  })

  test('each user has limits of their own, and reading has none', async () => {
    const { servers } = await testNetwork(['hs1'], { database, settings: { rateLimits: true } })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
    const query = (client: typeof alice) => client.request('POST', '/keys/query', { device_keys: {} })
    let refused = 0
    for (let i = 0; i < 610; i++) if ((await query(alice)).status === 429) refused++
    assert.ok(refused > 0)
    assert.equal((await query(bob)).status, 200)
    assert.equal((await alice.request('GET', '/account/whoami')).status, 200)
  })

  test('there are none where the settings turn them off', async () => {
    const { servers } = await testNetwork(['hs1'], { database, settings: { rateLimits: false } })
    for (let i = 0; i < 130; i++) assert.equal((await servers.hs1.ask(LOGIN)).status, 400)
  })
})
