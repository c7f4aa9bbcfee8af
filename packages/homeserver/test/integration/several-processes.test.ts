import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../support/databases.ts'
import { testNetwork } from '../support/test-network.ts'

forEachDatabase((database) => {
  if (database.name === 'sqlite') return

  test('a long poll on one process hears at once of what another one did', async () => {
    const { servers, addProcess, settle } = await testNetwork(['hs1'], { database, realRooms: true })
    const alice = await servers.hs1.register('alice')
    await alice.sync()
    const second = await addProcess('hs1')
    // The clock stands still: nothing but the other process can end this wait.
    const waiting = alice.sync({ timeout: 30_000 })
    await settle()
    const elsewhere = await second.ask({
      method: 'PUT',
      path: `/_matrix/client/v3/user/${encodeURIComponent(alice.userId)}/account_data/example.note`,
      body: { text: 'from the other process' },
      token: alice.accessToken,
    })
    assert.equal(elsewhere.status, 200)
    const { account_data: accountData } = await waiting
    assert.deepEqual(accountData.events, [{ type: 'example.note', content: { text: 'from the other process' } }])
  })
})
