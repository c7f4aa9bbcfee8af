import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { ServerName, UserId } from '../../src/matrix/ids.ts'
import { ledgerRow } from '../../src/storage/device-lists.ts'
import { forEachDatabase } from '../support/databases.ts'
import { testNetwork } from '../support/test-network.ts'
import { friends, refresh } from './alice-and-bob.ts'

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

  test('what one process finds out about a server holds all of them back, and word of it ends that', async () => {
    const { servers, addProcess, clock } = await testNetwork(['hs1'], { database })
    const second = await addProcess('hs1')
    const [one, other] = [servers.hs1, second].map(({ homeserver }) => homeserver.ctx.federation.destinations)
    const isFree = async () => (await other!.mayRequest('remote' as ServerName, 'insist', 1_000)).go
    await other!.recordSuccess('remote' as ServerName)
    assert.equal(await isFree(), true)
    await one!.recordLimit('remote' as ServerName, 60_000)
    await eventually(async () => !(await isFree()))
    await clock.advance(60_000)
    assert.equal(await isFree(), true)
    await one!.recordFailure('remote' as ServerName, 'down')
    await eventually(async () => (await other!.backoffOf('remote' as ServerName)).failures === 1)
    await other!.heardFrom('remote' as ServerName)
    assert.equal((await one!.backoffOf('remote' as ServerName)).failures, 0)
  })

  test('an event that one process has redacted is redacted for the other', async () => {
    const { servers, addProcess } = await testNetwork(['hs1'], { database, realRooms: true })
    const second = await addProcess('hs1')
    const alice = await servers.hs1.register('alice')
    const { room_id: roomId } = (await alice.request('POST', '/createRoom', {})).body
    const room = `/rooms/${encodeURIComponent(roomId)}`
    const acl = await alice.request('PUT', `${room}/state/m.room.server_acl`, { allow: ['*'] })
    assert.equal(acl.status, 200)
    const denies = () => second.homeserver.ctx.rooms.acl.denies(roomId, 'remote' as ServerName)
    assert.equal(await denies(), false)
    // A list that allows nobody is what is left of it.
    const redact = await alice.request('PUT', `${room}/redact/${encodeURIComponent(acl.body.event_id)}/1`, {})
    assert.equal(redact.status, 200)
    await eventually(denies)
  })

  test('a fetch that takes long stays with its process; when that is killed, the other one takes it over', async () => {
    const { alice, bob, far, servers, addProcess, advance, until } = await friends(database)
    const second = await addProcess('hs1')
    const { deviceLists, clock } = second.homeserver.ctx
    const listed = async () =>
      (await deviceLists.list({ staleOnly: false, limit: 10 })).find((list) => list.userId === bob.userId)
    bob.addDevice('HIDDEN')
    const { release } = far.hang({ endpoint: 'devices' })
    const asking = refresh(alice, bob)
    await advance(25_000)
    assert.equal((await asking).status, 202)
    const row = await ledgerRow(second.homeserver.ctx.store.db, bob.userId as UserId)
    assert.ok(row!.lease_until! > clock.now())
    await servers.hs1.kill()
    release()
    // Much sooner if it has heard of the doubt from the one that is gone, as is likely.
    await until(async () => (await listed())?.state === 'fresh', 60_000)
    assert.deepEqual(
      (await deviceLists.list({ staleOnly: false, limit: 10 })).map((list) => [list.userId, list.state]),
      [[bob.userId, 'fresh']],
    )
  })
})

/** Waits for what another process is told by the database, which no fake clock knows of. */
async function eventually(check: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 10_000; !(await check()); ) {
    assert.ok(performance.now() < deadline, 'it did not come true')
    await setImmediate()
  }
}
