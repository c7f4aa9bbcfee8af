import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onSqlite } from '../../../test/support/databases.ts'
import { testNetwork } from '../../../test/support/test-network.ts'
import { readKeyResponse } from '../../federation/key-response.ts'
import type { ServerName } from '../../matrix/ids.ts'
import { canonicalJson } from '../../matrix/json.ts'

onSqlite((database) => {
  test('keys and version are for anybody to see, and the keys are good', async () => {
    const { servers, clock } = await testNetwork(['hs1'], { database })
    const get = (path: string) => servers.hs1.ask({ method: 'GET', path })
    for (const path of ['/_matrix/key/v2/server', '/_matrix/key/v2/server/ed25519:any']) {
      const { status, body } = await get(path)
      assert.equal(status, 200)
      assert.ok(Array.isArray(readKeyResponse(body, 'hs1' as ServerName, clock.now())), JSON.stringify(body))
      assert.equal(JSON.stringify(body), canonicalJson(body), 'it comes as it was signed')
    }
    const { status, body } = await get('/_matrix/federation/v1/version')
    assert.deepEqual([status, Object.keys(body.server)], [200, ['name', 'version']])
  })
})
