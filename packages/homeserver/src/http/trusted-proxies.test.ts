import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onSqlite } from '../../test/support/databases.ts'
import { testNetwork } from '../../test/support/test-network.ts'

onSqlite((database) => {
  test('what a proxy says of addresses is believed from this machine and from those that the settings name', async () => {
    const settings = { trustedProxies: ['10.0.0.0/8', 'fd00::7'] }
    const { servers } = await testNetwork(['hs1'], { database, settings })
    const alice = await servers.hs1.register('alice')
    /** @returns where alice's device was seen last */
    const seenFrom = async (remoteAddress: string) => {
      const headers = { authorization: `Bearer ${alice.accessToken}`, 'x-forwarded-for': '203.0.113.5' }
      const url = '/_matrix/client/v3/devices'
      const response = await servers.hs1.homeserver.app.inject({ url, headers, remoteAddress })
      assert.equal(response.statusCode, 200)
      return response.json().devices[0].last_seen_ip
    }
    for (const proxy of ['127.0.0.1', '10.1.2.3', 'fd00::7']) assert.equal(await seenFrom(proxy), '203.0.113.5', proxy)
    assert.equal(await seenFrom('192.0.2.1'), '192.0.2.1')
  })
})
