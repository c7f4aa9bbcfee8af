import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../../test/support/databases.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

const V3 = '/_matrix/client/v3'

forEachDatabase((database) => {
  test('a guest becomes a user under the same name, with a token that proves who it is', async () => {
    const { servers } = await testNetwork(['hs1'], { database, settings: { allowGuests: true } })
    const { ask } = servers.hs1
    const { body: guest } = await ask({ method: 'POST', path: `${V3}/register?kind=guest`, body: {} })
    const username = guest.user_id.slice(1, guest.user_id.indexOf(':'))
    const wish = { username, password: 'a new password', auth: { type: 'm.login.dummy' } }
    const become = (more: object) => ask({ method: 'POST', path: `${V3}/register`, body: { ...wish, ...more } })
    assert.equal((await become({})).body.errcode, 'M_USER_IN_USE')
    assert.equal((await become({ guest_access_token: 'made up' })).body.errcode, 'M_FORBIDDEN')
    const other = await become({ guest_access_token: guest.access_token, username: 'somebody' })
    assert.equal(other.body.errcode, 'M_INVALID_USERNAME')
    const user = await become({ guest_access_token: guest.access_token })
    assert.deepEqual([user.status, user.body.user_id], [200, guest.user_id])
    const who = await ask({ method: 'GET', path: `${V3}/account/whoami`, token: user.body.access_token })
    assert.equal(who.body.is_guest, false)
    // The guest is one no longer, whoever still has the token.
    assert.equal((await become({ guest_access_token: guest.access_token })).body.errcode, 'M_FORBIDDEN')
  })
})
