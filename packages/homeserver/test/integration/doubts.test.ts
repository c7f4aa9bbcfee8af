import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UserId } from '../../src/matrix/ids.ts'
import { transitionsOf } from '../../src/storage/device-list-history.ts'
import { forEachDatabase } from '../support/databases.ts'
import * as answers from '../support/remote-answers.ts'
import type { ScriptedRemote } from '../support/scripted-remote.ts'
import type { TestClient } from '../support/test-client.ts'
import {
  type AliceAndBob,
  CACHE_OVER_MS,
  changedFor,
  devicesSeenBy,
  encryptedFriends,
  friends,
  hearsOf,
  queryKeys,
  stateOf,
} from './alice-and-bob.ts'

const QUARTER_HOUR_MS = 15 * 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Audits come every hour, so that tests take less. */
const HOURLY = { deviceLists: { auditInterval: HOUR_MS } }

let messages = 0

/** A message to all of alice's devices, as another server sends it. */
function toDevice(far: ScriptedRemote, alice: TestClient, sender: string, type: string, content: object) {
  const message_id = `m${messages++}`
  const edu = { sender, type, message_id, messages: { [alice.userId]: { '*': content } } }
  return far.sendEdus('hs1', [{ edu_type: 'm.direct_to_device', content: edu as never }])
}

/** How often a remote was asked for the keys of several users in one request. */
function audits({ network, far }: AliceAndBob): number {
  return network.requests({ from: 'hs1', to: far.serverName, path: '/_matrix/federation/v1/user/keys/query' }).length
}

forEachDatabase((database) => {
  describe('scenario 25: a message that names a device we do not know', () => {
    const sightings: [string, string, (world: AliceAndBob) => object][] = [
      ['a key request', 'm.room_key_request', () => ({ action: 'request', requesting_device_id: 'LOST' })],
      ['a verification', 'm.key.verification.request', () => ({ from_device: 'LOST', methods: [] })],
      [
        'an Olm message',
        'm.room.encrypted',
        ({ bob }) => ({
          algorithm: 'm.olm.v1.curve25519-aes-sha2',
          sender_key: Object.entries((bob.devices.get('LOST')!.deviceKeys as { keys: object }).keys).find(([id]) =>
            id.startsWith('curve25519'),
          )![1],
        }),
      ],
    ]
    for (const [what, type, content] of sightings) {
      test(`${what} makes the server fetch the list`, async () => {
        const world = await friends(database)
        const { alice, bob, far, settle } = world
        bob.addDevice('LOST')
        await toDevice(far, alice, bob.userId, type, content(world))
        await settle()
        assert.equal(far.gets(bob), 2)
        assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE'])
      })
    }

    test('once for each version of the list; a device that is known, never', async () => {
      const { alice, bob, far, settle } = await friends(database)
      const ask = (device: string) =>
        toDevice(far, alice, bob.userId, 'm.room_key_request', { requesting_device_id: device })
      await ask('PHONE')
      await settle()
      assert.equal(far.gets(bob), 1)
      for (let n = 0; n < 3; n++) {
        await ask('NOWHERE')
        await settle()
      }
      assert.equal(far.gets(bob), 2)
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await ask('NOWHERE')
      await settle()
      assert.equal(far.gets(bob), 3)
      assert.equal((await alice.sync()).to_device.events.length, 5)
    })
  })

  describe('what contradicts a list', () => {
    test('a claim that leaves out a device that is listed makes the server fetch the list, once', async () => {
      const { alice, bob, far, settle } = await friends(database)
      bob.removeDevice('PHONE')
      const claim = () =>
        alice.request('POST', '/keys/claim', { one_time_keys: { [bob.userId]: { PHONE: 'signed_curve25519' } } })
      await claim()
      await settle()
      assert.equal(far.gets(bob), 2)
      assert.deepEqual(await devicesSeenBy(alice, bob), [])
      assert.deepEqual(await changedFor(alice), [bob.userId])
    })

    test('a device that has no keys left is asked for once', async () => {
      const { alice, bob, far, settle } = await friends(database)
      far.answerAlways(
        { endpoint: 'claim' },
        answers.edited(() => ({ one_time_keys: {} })),
      )
      for (let n = 0; n < 3; n++) {
        await alice.request('POST', '/keys/claim', { one_time_keys: { [bob.userId]: { PHONE: 'signed_curve25519' } } })
        await settle()
      }
      assert.equal(far.gets(bob), 2)
    })

    test('a signature by a key that we do not have makes the server fetch the list, once', async () => {
      const { alice, bob, far, settle } = await friends(database)
      bob.setCrossSigning()
      // The update of the keys themselves was lost.
      await far.sendEdus('hs1', [bob.signDevice('PHONE')])
      await settle()
      assert.equal(far.gets(bob), 2)
      assert.deepEqual((await queryKeys(alice, bob)).master_keys[bob.userId], bob.identity?.masterKey)
      await far.sendEdus('hs1', [bob.renameDevice('PHONE', 'again')])
      await settle()
      assert.equal(far.gets(bob), 2)
    })
  })

  describe('silence', () => {
    test('a server that speaks after a long silence has its lists compared', async () => {
      const { alice, bob, far, settle, advance } = await friends(database)
      await far.sendEdus('hs1', [])
      bob.addDevice('LOST')
      await advance(QUARTER_HOUR_MS - 1_000)
      await far.sendEdus('hs1', [])
      await settle()
      assert.equal(far.gets(bob), 1)
      await advance(QUARTER_HOUR_MS + 1_000)
      await far.sendEdus('hs1', [])
      await advance(1_000)
      assert.equal(far.gets(bob), 2)
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE'])
    })

    test('a server that was down for long has all its lists fetched', async () => {
      const { alice, bob, far, rooms, network, settle, advance, until } = await friends(database)
      const carol = far.addUser('carol')
      await rooms.share([alice, carol])
      await settle()
      await alice.sync()
      const gets = far.gets(carol)
      // So that its keys are known.
      await far.sendEdus('hs1', [])
      network.fault('hs1', far.serverName, { drop: true })
      bob.addDevice('TABLET')
      await far.sendEdus('hs1', [bob.renameDevice('TABLET', 'x')])
      carol.addDevice('LOST')
      await advance(QUARTER_HOUR_MS + 60_000)
      network.heal()
      await until(hearsOf(alice, carol), QUARTER_HOUR_MS)
      assert.equal(far.gets(carol), gets + 1)
      assert.deepEqual(await devicesSeenBy(alice, carol), ['LOST'])
    })

    test('after a long downtime of our own all lists are fetched, after a short one they are compared', async () => {
      const world = await friends(database)
      const { alice, bob, far, servers, advance, until } = world
      await servers.hs1.stop()
      bob.addDevice('LOST')
      await advance(5 * 60_000)
      await servers.hs1.start()
      await until(hearsOf(alice, bob), 60_000)
      assert.deepEqual([far.gets(bob), audits(world)], [2, 1])
      await servers.hs1.stop()
      await advance(20 * 60_000)
      await servers.hs1.start()
      await advance(1_000)
      assert.equal(far.gets(bob), 3)
      assert.equal((await stateOf(alice, bob)).state, 'fresh')
    })
  })

  describe('a server that was set up anew', () => {
    test('has all its lists fetched when its key changes, once in a while', async () => {
      const { alice, bob, far, rooms, settle, advance } = await friends(database)
      const carol = far.addUser('carol')
      await rooms.share([alice, carol])
      await settle()
      // So that its keys are known.
      await far.sendEdus('hs1', [])
      carol.addDevice('LOST')
      const gets = [far.gets(bob), far.gets(carol)]
      far.rebuild()
      await advance(CACHE_OVER_MS)
      await far.sendEdus('hs1', [])
      await settle()
      assert.deepEqual([far.gets(bob), far.gets(carol)], [gets[0]! + 1, gets[1]! + 1])
      assert.deepEqual(await devicesSeenBy(alice, carol), ['LOST'])
      far.rebuild()
      await advance(CACHE_OVER_MS)
      await far.sendEdus('hs1', [])
      await settle()
      assert.deepEqual([far.gets(bob), far.gets(carol)], [gets[0]! + 1, gets[1]! + 1])
    })

    test('has all its lists fetched when a stream falls back', async () => {
      const { alice, bob, far, rooms, settle } = await friends(database)
      const carol = far.addUser('carol')
      await rooms.share([alice, carol])
      await settle()
      bob.streamId = 900
      await far.sendEdus('hs1', [bob.renameDevice('PHONE', 'at 901')])
      await settle()
      carol.addDevice('LOST')
      bob.streamId = 3
      await far.sendEdus('hs1', [bob.addDevice('NEW')])
      await settle()
      assert.deepEqual(await devicesSeenBy(alice, carol), ['LOST'])
    })
  })

  describe('audit', () => {
    test('a change that nobody was told of is found within the interval, by one request for many users', async () => {
      const world = await friends(database, HOURLY)
      const { alice, bob, far, rooms, settle, advance } = world
      const others = Array.from({ length: 30 }, (_, n) => far.addUser(`user${n}`))
      for (const other of others) other.addDevice('PHONE')
      await rooms.share([alice, ...others])
      await settle()
      await alice.sync()
      bob.addDevice('LOST')
      const gets = others.map((other) => far.gets(other))
      await advance(HOUR_MS + 60_000)
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE'])
      assert.ok(audits(world) <= 4, `${audits(world)}`)
      await advance(HOUR_MS)
      assert.deepEqual(
        others.map((other) => far.gets(other)),
        gets,
      )
      assert.ok(audits(world) <= 8, `${audits(world)}`)
    })

    test('a server that cannot be asked like this has its lists fetched', async () => {
      const { alice, bob, far, advance } = await friends(database, HOURLY)
      far.answerAlways({ endpoint: 'query' }, answers.html(404))
      bob.addDevice('LOST')
      await advance(HOUR_MS + 60_000)
      assert.deepEqual(await changedFor(alice), [bob.userId])
    })

    test('a list that its server does not let us compare for the whole interval is not called fresh', async () => {
      const world = await friends(database, HOURLY)
      const { alice, bob, far, advance } = world
      far.answerAlways({ endpoint: 'query' }, answers.status(403))
      bob.addDevice('LOST')
      await advance(HOUR_MS)
      assert.deepEqual(await changedFor(alice), [bob.userId])
      far.answerAlways({}, answers.status(503))
      await advance(HOUR_MS - 60_000)
      assert.equal((await stateOf(alice, bob)).state, 'fresh')
      await advance(120_000)
      assert.match((await stateOf(alice, bob)).state, /^(pending|failing)$/)
      assert.deepEqual(Object.keys((await queryKeys(alice, bob)).failures), [far.serverName])
    })

    test('a server that is down is asked again, and not all the time', async () => {
      const world = await friends(database, HOURLY)
      const { alice, bob, far, advance } = world
      far.answerAlways({ endpoint: 'query' }, answers.status(503))
      bob.addDevice('LOST')
      await advance(HOUR_MS)
      assert.ok(audits(world) >= 2 && audits(world) < 60, `${audits(world)}`)
      far.answerNormally()
      await advance(HOUR_MS / 2)
      assert.deepEqual(await changedFor(alice), [bob.userId])
    })

    test('a list that is as the owner has it is told to nobody', async () => {
      const world = await friends(database, HOURLY)
      const { alice, bob, far, advance } = world
      bob.setCrossSigning()
      await far.sendEdus('hs1', [
        bob.signingKeyUpdate(),
        bob.signDevice('PHONE'),
        bob.addDevice('X', { withoutKeys: true }),
      ])
      await alice.sync()
      const gets = far.gets(bob)
      await advance(2 * HOUR_MS)
      assert.ok(audits(world) >= 2)
      assert.equal(far.gets(bob), gets)
      assert.deepEqual(await changedFor(alice), [])
    })
  })

  test('a list that fails for long is tried more often where it is needed for encryption', async () => {
    const tries = async ({ alice, bob, far, advance }: AliceAndBob) => {
      far.answerAlways({ endpoint: 'devices' }, answers.status(400))
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await advance(HOUR_MS)
      await alice.sync()
      const before = far.gets(bob)
      await advance(3 * HOUR_MS)
      return far.gets(bob) - before
    }
    const needed = await tries(await encryptedFriends(database))
    assert.ok(needed >= 17 && needed <= 26, `${needed}`)
    const other = await tries(await friends(database))
    assert.ok(other >= 2 && other <= 5, `${other}`)
  })

  test('what a list went through is kept, the newest fifty steps for a week', async () => {
    const { bob, far, servers, clock, advance, settle } = await friends(database)
    far.answerNext({ endpoint: 'devices' }, answers.status(503))
    bob.addDevice('LOST')
    await far.sendEdus('hs1', [bob.addDevice('TABLET')])
    await settle()
    await advance(5_000)
    const { store } = servers.hs1.homeserver.ctx
    const steps = () => transitionsOf(store.db, bob.userId as UserId)
    assert.deepEqual(
      (await steps()).map(({ event, detail }) => [event, detail]),
      [
        ['fresh', 'changed'],
        ['failed', 'answered 503 M_UNKNOWN'],
        ['doubted', 'gap'],
        ['fresh', 'changed'],
        ['tracked', null],
        ['doubted', 'room joined'],
      ],
    )
    far.answerAlways({ endpoint: 'devices' }, answers.status(400))
    bob.addDevice('LOST2')
    await far.sendEdus('hs1', [bob.addDevice('TABLET2')])
    await advance(6 * HOUR_MS)
    assert.equal((await steps()).length, 50)
    const { count } = await store.db
      .selectFrom('device_list_history')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    assert.ok(Number(count) < 80, `${count}`)
    far.answerNormally()
    clock.set(clock.now() + 8 * DAY_MS)
    await advance(HOUR_MS)
    assert.deepEqual(
      (await steps()).map(({ event }) => event),
      ['fresh'],
    )
  })
})
