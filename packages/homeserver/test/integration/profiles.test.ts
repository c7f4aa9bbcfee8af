import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../support/databases.ts'
import { testNetwork } from '../support/test-network.ts'

forEachDatabase((database) => {
  test("another server's profile is fetched, kept for a minute, and asked for once by many", async () => {
    const { servers, network, advance } = await testNetwork(['hs1', 'hs2'], { database })
    const bob = await servers.hs2.register('bob')
    const name = (displayname: string) => bob.request('PUT', `/profile/${bob.userId}/displayname`, { displayname })
    await name('Bob')
    const path = `/_matrix/client/v3/profile/${bob.userId}`
    const profile = async () => (await servers.hs1.ask({ method: 'GET', path })).body
    const asked = () => network.requests({ path: '/_matrix/federation/v1/query/profile' }).length
    assert.deepEqual(await Promise.all([profile(), profile()]), [{ displayname: 'Bob' }, { displayname: 'Bob' }])
    await name('Robert')
    assert.deepEqual(await profile(), { displayname: 'Bob' })
    assert.equal(asked(), 1)
    await advance(60_000)
    const field = await servers.hs1.ask({ method: 'GET', path: `${path}/displayname` })
    assert.deepEqual(field.body, { displayname: 'Robert' })
    assert.equal(asked(), 2)
  })

  test('a user that there is not is not found; a server that is down is no empty profile', async () => {
    const { servers, network } = await testNetwork(['hs1', 'hs2'], { database })
    const of = async (user: string) => {
      const { status, body } = await servers.hs1.ask({ method: 'GET', path: `/_matrix/client/v3/profile/${user}` })
      return [status, body.errcode]
    }
    assert.deepEqual(await of('@none:hs2'), [404, 'M_NOT_FOUND'])
    network.partition(['hs1'], ['hs2'])
    assert.deepEqual(await of('@bob:hs2'), [502, 'M_UNKNOWN'])
  })
})
