import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { onSqlite } from '../support/databases.ts'
import { testNetwork } from '../support/test-network.ts'

const text = readFileSync(new URL('../../../../docs/api.md', import.meta.url), 'utf8')

/** How docs/api.md writes a route. */
function written(pattern: string): string {
  return pattern.replace('/_matrix/client/v3', '').replace(/:([A-Za-z]+)/g, '{$1}')
}

onSqlite((database) => {
  test('docs/api.md names every route', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const patterns = new Set(servers.hs1.homeserver.app.allRoutes().map(({ pattern }) => pattern))
    // Older forms that the text speaks of in general, and the ends of push rules and notary paths.
    const general =
      /\/r0\/|\/unstable\/keys|\/(enabled|actions)$|\/state\/(:type\/)?$|\*$|:keyId$|\/keys\/upload\/:deviceId|unstable\/org|\/user\/:userId\/devices/
    const missing = [...patterns].filter((pattern) => !general.test(pattern) && !text.includes(`${written(pattern)}\``))
    assert.deepEqual(missing, [])
  })
})
