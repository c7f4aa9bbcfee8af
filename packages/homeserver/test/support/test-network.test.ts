import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from './databases.ts'
import { status } from './remote-answers.ts'
import type { TestClient } from './test-client.ts'
import { testNetwork } from './test-network.ts'
import type { Member } from './test-rooms.ts'

const idOf = (member: Member) => (typeof member === 'string' ? member : member.userId)

async function devicesSeenBy(client: TestClient, member: Member): Promise<string[]> {
  const { body } = await client.request('POST', '/keys/query', { device_keys: { [idOf(member)]: [] } })
  return Object.keys(body.device_keys[idOf(member)] ?? {}).sort()
}

const refresh = (client: TestClient, member: Member) =>
  client.request('POST', `/user/${encodeURIComponent(idOf(member))}/devices/refresh`)

forEachDatabase((database) => {
  test('users of two servers see each other, and hear of changes', async () => {
    const { servers, rooms, settle } = await testNetwork(['hs1', 'hs2'], { database })
    const alice = await servers.hs1.register('alice')
    const phone = await servers.hs2.register('bob')
    assert.deepEqual([alice.userId, phone.userId], ['@alice:hs1', '@bob:hs2'])
    await rooms.share([alice, phone])
    await settle()
    await alice.sync()
    const tablet = await phone.login('TABLET')
    await settle()
    assert.deepEqual((await alice.sync()).device_lists.changed, [phone.userId])
    assert.deepEqual(await devicesSeenBy(alice, phone), [phone.deviceId, tablet.deviceId].sort())
    assert.deepEqual((await alice.sync()).device_lists?.changed ?? [], [])
  })

  test('a sync that waits is ended by news, or by the clock', async () => {
    const { servers, clock, advance } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    await alice.sync()
    let ended = 0
    const waiting = alice.sync({ timeout: 30_000 }).finally(() => ended++)
    await advance(29_999)
    assert.equal(ended, 0)
    await advance(1)
    await waiting
    const woken = alice.sync({ timeout: 30_000 })
    const before = clock.now()
    await alice.login()
    assert.deepEqual((await woken).device_lists.changed, [alice.userId])
    assert.equal(clock.now(), before)
  })

  test('a scripted remote is asked, signed and in time', async () => {
    const { servers, remote, rooms, settle, advance, until } = await testNetwork(['hs1'], { database })
    const far = remote('far.example')
    const bob = far.addUser('bob')
    bob.addDevice('PHONE')
    const alice = await servers.hs1.register('alice')
    await rooms.share([alice, bob])
    await settle()
    assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
    await alice.sync()
    // Past the time in which an earlier success answers for the server.
    await advance(31_000)
    bob.addDevice('HIDDEN')
    far.answerNext({ endpoint: 'devices' }, status(503))
    assert.equal((await refresh(alice, bob)).status, 502)
    await until(async () => (await alice.sync()).device_lists?.changed?.includes(bob.userId), 10_000)
    assert.deepEqual(await devicesSeenBy(alice, bob), ['HIDDEN', 'PHONE'])
    await far.sendEdus('hs1', [bob.removeDevice('PHONE')])
    assert.deepEqual(await devicesSeenBy(alice, bob), ['HIDDEN'])
  })

  test('a partition holds updates back until it is healed', async () => {
    const { servers, network, rooms, settle, until } = await testNetwork(['hs1', 'hs2'], { database })
    const alice = await servers.hs1.register('alice')
    const bob = await servers.hs2.register('bob')
    await rooms.share([alice, bob])
    await settle()
    await alice.sync()
    network.partition(['hs1'], ['hs2'])
    const tablet = await bob.login('TABLET')
    await settle()
    assert.deepEqual((await alice.sync()).device_lists?.changed ?? [], [])
    network.heal()
    await until(async () => (await alice.sync()).device_lists?.changed?.includes(bob.userId), 600_000)
    assert.deepEqual(await devicesSeenBy(alice, bob), [bob.deviceId, tablet.deviceId].sort())
  })

  test('a server keeps its data, keys and sessions when it restarts', async () => {
    const { servers, network } = await testNetwork(['hs1', 'hs2'], { database })
    const { hs1, hs2 } = servers
    const alice = await hs1.register('alice')
    const keys = async () => (await hs1.ask({ method: 'GET', path: '/_matrix/key/v2/server' })).body.verify_keys
    const before = await keys()
    await hs1.restart()
    assert.deepEqual(await keys(), before)
    assert.equal((await alice.request('GET', '/account/whoami')).body.user_id, alice.userId)
    await hs1.stop()
    assert.equal(hs1.isRunning(), false)
    await assert.rejects(alice.request('GET', '/account/whoami'), /hs1 is down/)
    const bob = await hs2.register('bob')
    assert.equal((await refresh(bob, alice)).status, 502)
    assert.equal(network.requests({ to: 'hs1', path: '/_matrix/' }).at(-1)?.outcome, 'connection')
    await hs1.start()
  })

  test('a server that is killed does nothing more, and goes on where it was when it starts again', async () => {
    const { servers, remote, rooms, settle, network, clock, advance, until } = await testNetwork(['hs1'], { database })
    const far = remote('far.example')
    const bob = far.addUser('bob')
    bob.addDevice('PHONE')
    const alice = await servers.hs1.register('alice')
    const hanging = far.hang({ endpoint: 'devices' })
    await rooms.share([alice, bob])
    await settle()
    assert.equal(far.gets(bob), 1)
    const waiting = assert.rejects(
      alice.sync({ timeout: 60_000 }).then(() => alice.sync({ timeout: 60_000 })),
      /killed/,
    )
    await settle()
    await servers.hs1.kill()
    await waiting
    assert.equal(network.inFlight(), 0)
    assert.equal(clock.pendingTimers(), 0)
    hanging.release()
    await advance(3_600_000)
    assert.equal(far.gets(bob), 1)
    await servers.hs1.start()
    await until(() => far.gets(bob) === 2, 120_000)
    await settle()
    assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
  })

  test('a server that is to die at a call which it makes while it stops dies there, and starts again', async () => {
    for (const moment of ['before', 'after'] as const) {
      const { servers } = await testNetwork(['hs1'], { database })
      const alice = await servers.hs1.register('alice')
      servers.hs1.killAt(0, moment)
      await servers.hs1.stop()
      assert.equal(servers.hs1.isRunning(), false)
      await servers.hs1.start()
      assert.equal((await alice.request('GET', '/account/whoami')).body.user_id, alice.userId)
    }
  })

  test('rooms that begin and end while a server is down are made up for', async () => {
    const { servers, remote, rooms, settle } = await testNetwork(['hs1'], { database })
    const far = remote('far.example')
    const [bob, carol] = [far.addUser('bob'), far.addUser('carol')]
    const alice = await servers.hs1.register('alice')
    const room = await rooms.share([alice, bob])
    await settle()
    await servers.hs1.stop()
    await room.leave(bob)
    await room.join(carol)
    await servers.hs1.start()
    await settle()
    assert.deepEqual([far.gets(bob), far.gets(carol)], [1, 1])
    const tracked = await servers.hs1.homeserver.ctx.store.db
      .selectFrom('device_lists')
      .select('user_id')
      .where('tracked', '=', 1)
      .execute()
    assert.deepEqual(
      tracked.map(({ user_id: userId }) => userId),
      [carol.userId],
    )
  })

  test('two processes serve the same accounts', { skip: database.name === 'sqlite' }, async () => {
    const { servers, addProcess } = await testNetwork(['hs1'], { database })
    const second = await addProcess('hs1')
    const alice = await second.register('alice')
    const path = '/_matrix/client/v3/account/whoami'
    assert.equal((await servers.hs1.ask({ method: 'GET', path, token: alice.accessToken })).body.user_id, alice.userId)
    await second.kill()
    assert.equal((await servers.hs1.ask({ method: 'GET', path, token: alice.accessToken })).status, 200)
  })

  test('until tells how long it took, and gives up in time', async () => {
    const { clock, until } = await testNetwork([], { database })
    let done = false
    clock.after(2_500, () => {
      done = true
    })
    assert.equal(await until(() => done, 10_000), 2_500)
    await assert.rejects(
      until(() => false, 3_000),
      /within 3000 ms/,
    )
  })

  // Several connections to PostgreSQL race for real.
  test('the same seed gives the same run, another one another', { skip: database.name === 'postgres' }, async () => {
    const run = async (seed: string) => {
      const { servers, network, rooms, settle, advance } = await testNetwork(['hs1', 'hs2'], { database, seed })
      network.fault('*', '*', { drop: 0.3, delayMs: [0, 200] })
      const alice = await servers.hs1.register('alice')
      const bob = await servers.hs2.register('bob')
      await rooms.share([alice, bob])
      await advance(5_000)
      await bob.login('TABLET')
      await advance(60_000)
      await settle()
      return network.requests().map(({ from, path, at, outcome }) => [from, path, at, outcome].join(' '))
    }
    const first = await run('a')
    assert.deepEqual(await run('a'), first)
    assert.notDeepEqual(await run('b'), first)
  })
})
