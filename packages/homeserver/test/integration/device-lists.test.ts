import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase } from '../support/databases.ts'
import * as answers from '../support/remote-answers.ts'
import type { Answer } from '../support/remote-script.ts'
import { peakInFlight } from '../support/request-log.ts'
import {
  CACHE_OVER_MS,
  changedFor,
  devicesSeenBy,
  friends,
  hearsOf,
  queryKeys,
  refresh,
  stateOf,
  strangers,
} from './alice-and-bob.ts'

const DEVICES = { endpoint: 'devices' } as const
const { status } = answers

forEachDatabase((database) => {
  describe('updates', () => {
    test('scenario 1: a contiguous update is told and shown without a request', async () => {
      const { alice, bob, far } = await friends(database)
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE', 'TABLET'])
      assert.equal(far.gets(bob), 1)
    })

    test('an update that gives a device another name is told and shown; one that changes nothing is not', async () => {
      const { alice, bob, far } = await friends(database)
      await far.sendEdus('hs1', [bob.renameDevice('PHONE', 'another name')])
      assert.deepEqual(await changedFor(alice), [bob.userId])
      const { body } = await alice.request('POST', '/keys/query', { device_keys: { [bob.userId]: [] } })
      assert.equal(body.device_keys[bob.userId].PHONE.unsigned.device_display_name, 'another name')
      await far.sendEdus('hs1', [bob.renameDevice('PHONE', 'another name')])
      assert.deepEqual(await changedFor(alice), [])
    })

    test('scenario 2: a gap makes the server fetch the list', async () => {
      const { alice, bob, far, settle } = await friends(database)
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      assert.equal(far.gets(bob), 2)
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE', 'TABLET'])
    })

    test('scenario 3: a cold query is one request, its repetition none', async () => {
      const { alice, bob, far } = await strangers(database)
      const seen = await queryKeys(alice, bob, 10_000)
      assert.deepEqual(seen.device_keys[bob.userId], bob.keysOf([]))
      assert.equal(far.gets(bob), 1)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
      assert.equal(far.gets(bob), 1)
    })

    test('scenario 13: a replayed update does not bring back what was deleted', async () => {
      const { alice, bob, far, settle } = await friends(database)
      const added = bob.addDevice('TABLET')
      const removed = bob.removeDevice('TABLET')
      await far.sendEdus('hs1', [added])
      await far.sendEdus('hs1', [removed])
      await alice.sync()
      await far.sendEdus('hs1', [added])
      await settle()
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
    })

    test('scenario 14: one transaction with updates out of order ends with the last', async () => {
      const { alice, bob, far, settle } = await friends(database)
      const edus = [bob.addDevice('FIVE'), bob.addDevice('SIX'), bob.removeDevice('FIVE')]
      await far.sendEdus('hs1', edus.reverse())
      await settle()
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE', 'SIX'])
      assert.ok(far.gets(bob) <= 2)
    })

    test('scenario 17: a deletion across a gap makes the server fetch the list', async () => {
      const { alice, bob, far, settle } = await friends(database)
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.removeDevice('PHONE')])
      await settle()
      assert.equal(far.gets(bob), 2)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST'])
    })

    test('scenario 20: an update of the cross-signing keys is told and shown', async () => {
      const { alice, bob, far, settle } = await friends(database)
      await far.sendEdus('hs1', [bob.setCrossSigning()])
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual((await queryKeys(alice, bob)).master_keys[bob.userId], bob.identity?.masterKey)
      await settle()
      // One request, since there is a self-signing key now that has signed no device; and it is not repeated.
      assert.equal(far.gets(bob), 2)
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await far.sendEdus('hs1', [bob.signDevice('PHONE')])
      await settle()
      assert.equal(far.gets(bob), 2)
      assert.deepEqual(await changedFor(alice), [bob.userId])
    })

    test('scenario 30: a poisoned EDU fails neither the transaction nor its neighbour', async () => {
      const { alice, bob, far, settle } = await friends(database)
      const poison = [
        { edu_type: 'm.device_list_update', content: { user_id: bob.userId, device_id: 7, stream_id: 'x' } },
        { edu_type: 'm.device_list_update', content: null },
        { edu_type: 'm.direct_to_device', content: { sender: 1, messages: [] } },
        { edu_type: 'm.signing_key_update', content: { user_id: bob.userId, master_key: { keys: [] } } },
        null,
      ]
      const { status } = await far.sendEdus('hs1', [...poison, bob.addDevice('TABLET')] as never)
      assert.equal(status, 200)
      await settle()
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE', 'TABLET'])
    })

    test("scenario 31: an update for another server's user is ignored", async () => {
      const { alice, bob, far, remote, settle } = await friends(database)
      const evil = remote('evil.example')
      const update = bob.addDevice('TROJAN')
      bob.removeDevice('TROJAN')
      assert.equal((await evil.sendEdus('hs1', [update, bob.setCrossSigning()])).status, 200)
      await settle()
      assert.deepEqual(await changedFor(alice), [])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
      assert.equal(far.gets(bob), 1)
    })

    test('scenario 33: a remote that was rebuilt is believed, without a loop', async () => {
      const { alice, bob, far, settle, advance } = await friends(database)
      for (let i = 0; i < 5; i++) await far.sendEdus('hs1', [bob.renameDevice('PHONE', `name ${i}`)])
      bob.streamId = 900
      await far.sendEdus('hs1', [bob.renameDevice('PHONE', 'at 901')])
      await settle()
      assert.equal((await stateOf(alice, bob)).stream_id, 901)
      await alice.sync()
      far.rebuild()
      await advance(CACHE_OVER_MS)
      await far.sendEdus('hs1', [bob.addDevice('NEW')])
      await settle()
      await advance(CACHE_OVER_MS)
      assert.equal((await stateOf(alice, bob)).stream_id, 2)
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['NEW', 'PHONE'])
      const gets = far.gets(bob)
      await far.sendEdus('hs1', [bob.addDevice('NEXT')])
      await advance(3_600_000)
      assert.equal(far.gets(bob), gets)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['NEW', 'NEXT', 'PHONE'])
    })

    test('scenario 36: a sync whose answer is lost tells the same again, and /keys/changes agrees', async () => {
      const { alice, bob, far } = await friends(database)
      const { since } = alice
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      const first = await changedFor(alice)
      const to = alice.since
      alice.since = since
      assert.deepEqual(await changedFor(alice), first)
      const { body } = await alice.request('GET', `/keys/changes?from=${since}&to=${to}`)
      assert.deepEqual(body, { changed: [bob.userId], left: [] })
      const { body: later } = await alice.request('GET', `/keys/changes?from=${to}&to=${to}`)
      assert.deepEqual(later, { changed: [], left: [] })
    })
  })

  describe('fetches', () => {
    test('scenario 4: a remote that answers 400 does not touch a fresh list', async () => {
      const { alice, bob, far } = await friends(database)
      far.answerAlways({}, status(400))
      const seen = await queryKeys(alice, bob)
      assert.deepEqual(Object.keys(seen.device_keys[bob.userId]), ['PHONE'])
      assert.deepEqual(seen.failures, {})
    })

    test('scenario 5: a gap, 503, 503, 200: few retries, then the news; meanwhile old keys and a failure', async () => {
      const { alice, bob, far, until } = await friends(database)
      bob.addDevice('LOST')
      far.answerNext(DEVICES, status(503), 2)
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      const seen = await queryKeys(alice, bob)
      assert.deepEqual(Object.keys(seen.device_keys[bob.userId]), ['PHONE'])
      assert.deepEqual(Object.keys(seen.failures), [far.serverName])
      await until(hearsOf(alice, bob), 30_000)
      assert.equal(far.gets(bob), 4)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE', 'TABLET'])
    })

    test('scenario 6: a gap and 503, killed, started: fetched with no new traffic', async () => {
      const { alice, bob, far, servers, until } = await friends(database)
      bob.addDevice('LOST')
      far.answerNext(DEVICES, status(503))
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await servers.hs1.kill()
      await servers.hs1.start()
      await until(hearsOf(alice, bob), 60_000)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE', 'TABLET'])
    })

    test('scenario 7: a wait of seven seconds is obeyed, and not much longer', async () => {
      const { alice, bob, far, advance, until } = await friends(database)
      bob.addDevice('LOST')
      far.answerNext(DEVICES, status(429, { retryAfter: 7 }))
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await advance(6_999)
      // Being heard from, or asked for by a person, is no reason to ask earlier.
      await far.sendEdus('hs1', [])
      assert.equal(far.gets(bob), 2)
      await until(hearsOf(alice, bob), 3_000)
      assert.equal(far.gets(bob), 3)
    })

    test('scenario 8: a user whom the remote does not know delays nobody else', async () => {
      const { alice, bob, far, rooms, settle, advance, until } = await friends(database)
      const carol = far.addUser('carol')
      carol.addDevice('PHONE')
      far.answerAlways({ ...DEVICES, user: bob.userId }, status(404, { errcode: 'M_NOT_FOUND' }))
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      await rooms.share([alice, carol])
      await until(hearsOf(alice, carol), 2_000)
      assert.deepEqual(await devicesSeenBy(alice, carol), ['PHONE'])
      const seen = await queryKeys(alice, bob)
      assert.deepEqual(seen.failures, {})
      await advance(3_600_000)
      const [early, gets] = [far.gets(bob), far.gets(carol)]
      assert.ok(early < 20, `${early}`)
      await advance(6 * 3_600_000)
      assert.ok(far.gets(bob) - early <= 6, `${far.gets(bob)} after ${early}`)
      assert.equal(far.gets(carol), gets)
    })

    for (const [how, answer] of [
      ['hangs', () => new Promise<never>(() => {})],
      ['drips', answers.drip()],
    ] as const) {
      test(`scenario 9: a fetch that ${how} holds up neither /send nor other servers`, async () => {
        const { alice, bob, far, remote, rooms, clock, advance, until } = await friends(database)
        far.answerNext(DEVICES, answer)
        bob.addDevice('LOST')
        const before = clock.now()
        const { status } = await far.sendEdus('hs1', [bob.addDevice('TABLET')])
        assert.deepEqual([status, clock.now()], [200, before])
        const near = remote('near.example')
        const carol = near.addUser('carol')
        carol.addDevice('PHONE')
        await rooms.share([alice, carol])
        await until(hearsOf(alice, carol), 1_000)
        assert.deepEqual(await devicesSeenBy(alice, carol), ['PHONE'])
        assert.equal((await stateOf(alice, bob)).state, 'pending')
        await until(hearsOf(alice, bob), 60_000)
        // Until the remote has dripped its last byte.
        await advance(3_600_000)
      })
    }

    const unusable: [string, Answer][] = [
      ['is no JSON', answers.garbage],
      ['is of another user', answers.wrongUser],
      ['has no stream_id', answers.noStreamId],
      ['has a device twice', answers.duplicateDevice],
      ['is too large', answers.tooLarge(60 * 1024 * 1024)],
    ]
    for (const [what, answer] of unusable) {
      test(`scenario 10: a list that ${what} is not taken, and asked for again`, async () => {
        const { alice, bob, far, settle, until } = await friends(database)
        far.answerNext(DEVICES, answer)
        bob.addDevice('LOST')
        await far.sendEdus('hs1', [bob.addDevice('TABLET')])
        await settle()
        assert.deepEqual(await changedFor(alice), [])
        assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
        assert.equal((await stateOf(alice, bob)).state, 'failing')
        await until(hearsOf(alice, bob), 5_000)
        assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE', 'TABLET'])
        assert.equal((await stateOf(alice, bob)).state, 'fresh')
      })
    }

    test('scenario 11: an update that comes while an older list is on its way is not lost', async () => {
      const { alice, bob, far, settle, until } = await friends(database)
      const held = far.hang(DEVICES)
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      await far.sendEdus('hs1', [bob.addDevice('LAST')])
      held.release()
      await until(async () => (await devicesSeenBy(alice, bob)).length === 4, 5_000)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LAST', 'LOST', 'PHONE', 'TABLET'])
      assert.equal((await stateOf(alice, bob)).state, 'fresh')
    })

    test('scenario 12: an older list that arrives after an update does not undo it', async () => {
      const { alice, bob, far, settle, until } = await friends(database)
      const held = far.hang(DEVICES)
      const asked = refresh(alice, bob)
      await settle()
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE', 'TABLET'])
      held.release()
      await settle()
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE', 'TABLET'])
      await until(async () => (await stateOf(alice, bob)).state === 'fresh', 30_000)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE', 'TABLET'])
      assert.equal((await asked).status, 202)
    })

    test('scenarios 15 and 16: a list that loses one device, and then all, is told and shown', async () => {
      const { alice, bob, far, advance } = await friends(database)
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await alice.sync()
      for (const [lost, left] of [
        ['TABLET', ['PHONE']],
        ['PHONE', []],
      ] as const) {
        bob.removeDevice(lost)
        await refresh(alice, bob)
        assert.deepEqual(await changedFor(alice), [bob.userId])
        assert.deepEqual(await devicesSeenBy(alice, bob), left)
        await advance(CACHE_OVER_MS)
      }
    })

    test('scenario 18: new cross-signing keys in a list are shown and told', async () => {
      const { alice, bob, servers, rooms } = await friends(database)
      const carol = await servers.hs1.register('carol')
      await rooms.share([carol, bob])
      await carol.sync()
      bob.setCrossSigning()
      await refresh(alice, bob)
      assert.deepEqual(await changedFor(carol), [bob.userId])
      const seen = await queryKeys(carol, bob)
      assert.deepEqual(seen.master_keys[bob.userId], bob.identity?.masterKey)
      assert.deepEqual(seen.self_signing_keys[bob.userId], bob.identity?.selfSigningKey)
    })

    test('scenario 19: a master key that is two keys is dropped, the devices are taken and told', async () => {
      const { alice, bob, far, settle } = await friends(database)
      bob.setCrossSigning()
      const twoKeys = answers.edited((body) => {
        const masterKey = body.master_key as { keys: object }
        return { ...body, master_key: { ...masterKey, keys: { ...masterKey.keys, 'ed25519:other': 'b3RoZXI' } } }
      })
      far.answerAlways(DEVICES, twoKeys)
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      assert.deepEqual(await changedFor(alice), [bob.userId])
      const seen = await queryKeys(alice, bob)
      assert.deepEqual(Object.keys(seen.device_keys[bob.userId]).sort(), ['LOST', 'PHONE', 'TABLET'])
      assert.equal(seen.master_keys[bob.userId], undefined)
    })

    test('scenario 32: a list without end is reported as failing, never as fresh', async () => {
      const { alice, bob, far, settle } = await friends(database)
      far.answerAlways(DEVICES, answers.manyDevices(200_000))
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      assert.equal((await stateOf(alice, bob)).state, 'failing')
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
    })

    test('scenario 34: many stale users of one server are fetched a few at a time', async () => {
      const { alice, far, rooms, network, until } = await strangers(database)
      const users = Array.from({ length: 100 }, (_, n) => far.addUser(`user${n}`))
      for (const user of users) user.addDevice('PHONE')
      // Keys are asked for once, and not under the fault.
      await far.sendEdus('hs1', [])
      network.fault('hs1', far.serverName, { delayMs: 50 })
      await rooms.share([alice, ...users])
      await until(async () => users.every((user) => far.gets(user) > 0) && network.inFlight() === 0, 60_000)
      const requests = network.requests({ from: 'hs1', path: '/_matrix/federation/v1/user/devices/' })
      assert.equal(requests.length, 100)
      assert.ok(peakInFlight(requests) <= 10, `${peakInFlight(requests)}`)
      const changed = new Set(await changedFor(alice))
      assert.ok(users.every((user) => changed.has(user.userId)))
    })

    test('servers that hang hold up no other, though they are more than there are fetches at a time', async () => {
      const world = await friends(database, { deviceLists: { fetches: 8 } })
      const { alice, bob, far, remote, rooms, network, settle, advance, until } = world
      const hanging = Array.from({ length: 10 }, (_, n) => {
        const server = remote(`hangs${n}.example`)
        const user = server.addUser('carol')
        user.addDevice('PHONE')
        return { server, user }
      })
      await rooms.share([alice, ...hanging.map(({ user }) => user)])
      await settle()
      await advance(CACHE_OVER_MS)
      for (const { server, user } of hanging) {
        server.answerAlways(DEVICES, () => new Promise(() => {}))
        user.addDevice('LOST')
        await server.sendEdus('hs1', [user.addDevice('TABLET')])
      }
      const gapOf = async (lost: string, told: string) => {
        bob.addDevice(lost)
        await far.sendEdus('hs1', [bob.addDevice(told)])
      }
      await gapOf('LOST', 'TABLET')
      await until(hearsOf(alice, bob), 5_000)
      // When they are known to hang, there is nothing to wait for.
      await advance(60_000)
      await gapOf('LOST TOO', 'WATCH')
      await until(hearsOf(alice, bob), 500)
      const requests = network.requests({ from: 'hs1', path: '/_matrix/federation/v1/user/devices/' })
      // Each may have been made once more beside one that hangs.
      assert.ok(peakInFlight(requests) <= 2 * 8, `${peakInFlight(requests)}`)
      for (const { server } of hanging) server.answerNormally()
      const areRight = async () => {
        for (const { user } of hanging) if ((await stateOf(alice, user)).state !== 'fresh') return false
        return true
      }
      await until(areRight, 30_000)
    })

    test('scenario 35: a fetch that finds the same list is told to nobody', async () => {
      const { alice, bob, far, settle } = await friends(database)
      await far.sendDeviceListUpdate('hs1', { user: bob, device: 'PHONE', streamId: bob.streamId })
      const { devices, identity } = bob
      assert.deepEqual([devices.size, identity], [1, undefined])
      bob.streamId += 5
      await far.sendEdus('hs1', [bob.renameDevice('PHONE', 'the same keys')])
      await settle()
      assert.ok(far.gets(bob) >= 2)
      assert.deepEqual(await changedFor(alice), [])
      assert.equal((await stateOf(alice, bob)).state, 'fresh')
    })
  })

  for (const [what, lost] of [
    ['an update', false],
    ['a gap and the fetch that follows', true],
  ] as const) {
    test(`a database that fails at any call over ${what} makes the list late, and not wrong`, async () => {
      const { alice, bob, far, servers, settle, until } = await friends(database)
      let refused = 0
      for (let calls = 0; ; calls++) {
        const endOfTrouble = servers.hs1.failAt(calls)
        if (lost) bob.addDevice(`LOST${calls}`)
        const edus = [bob.addDevice(`TABLET${calls}`)]
        const { status } = await far.sendEdus('hs1', edus, `failing${calls}`)
        await settle()
        const hasFailed = endOfTrouble()
        if (status !== 200) {
          refused++
          assert.equal((await far.sendEdus('hs1', edus, `failing${calls}`)).status, 200)
        }
        await until(hearsOf(alice, bob), 60_000)
        assert.deepEqual(await devicesSeenBy(alice, bob), [...bob.devices.keys()].sort())
        if (!hasFailed) break
      }
      assert.ok(refused > 5, `${refused}`)
    })
  }

  test('a database that fails at any call over a refresh makes the list late, and not wrong', async () => {
    const { alice, bob, servers, settle, advance, until } = await friends(database)
    for (let calls = 0; ; calls++) {
      await advance(CACHE_OVER_MS)
      await alice.sync()
      bob.addDevice(`LOST${calls}`)
      const endOfTrouble = servers.hs1.failAt(calls)
      const asked = refresh(alice, bob)
      await settle()
      const hasFailed = endOfTrouble()
      // It waits a little for the list.
      await advance(30_000)
      const { status } = await asked
      assert.ok(status === 202 || (status === 500 && hasFailed), `${status}`)
      if (status === 500) await refresh(alice, bob)
      await until(hearsOf(alice, bob), 60_000)
      assert.deepEqual(await devicesSeenBy(alice, bob), [...bob.devices.keys()].sort())
      if (!hasFailed) break
    }
  })

  if (database.name === 'postgres') {
    test('scenario 41: of two processes one is killed in a fetch; the other takes over, and tells once', async () => {
      const world = await friends(database)
      const { alice, bob, far, servers, addProcess, settle, advance, until } = world
      const second = await addProcess('hs1')
      const held = far.hang(DEVICES)
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      assert.equal(far.gets(bob), 2)
      await advance(10_000)
      assert.equal(far.gets(bob), 2)
      await servers.hs1.kill()
      held.release()
      const { accessToken: token } = alice
      const sync = async () => {
        const path = `/_matrix/client/v3/sync?since=${alice.since}`
        const { body } = await second.ask({ method: 'GET', path, token })
        alice.since = body.next_batch
        return body.device_lists?.changed ?? []
      }
      await until(async () => (await sync()).includes(bob.userId), 120_000)
      assert.equal(far.gets(bob), 3)
      await advance(120_000)
      assert.deepEqual(await sync(), [])
    })
  }

  test('a clock that is set back makes no list, no server and no audit wait for longer', async () => {
    const { alice, bob, far, clock, advance, until } = await friends(database, {
      deviceLists: { auditInterval: 600_000 },
    })
    bob.addDevice('LOST')
    far.answerAlways({}, status(503))
    await far.sendEdus('hs1', [bob.addDevice('TABLET')])
    await advance(120_000)
    clock.set(clock.now() - 3_600_000)
    far.answerNormally()
    // The server is silent: nothing but the end of the wait makes ours ask.
    await until(hearsOf(alice, bob), 60_000)
    await advance(120_000)
    clock.set(clock.now() - 3_600_000)
    bob.addDevice('UNSAID')
    await until(hearsOf(alice, bob), 700_000)
  })

  test('what a process that was killed held is taken over, though the clock was set back since', async () => {
    const { alice, bob, far, servers, clock, settle, until } = await friends(database)
    far.answerNext(DEVICES, () => new Promise<never>(() => {}))
    bob.addDevice('LOST')
    await far.sendEdus('hs1', [bob.addDevice('TABLET')])
    await settle()
    await servers.hs1.kill()
    clock.set(clock.now() - 3_600_000)
    await servers.hs1.start()
    await until(hearsOf(alice, bob), 120_000)
    assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE', 'TABLET'])
  })

  test('scenario 42: a clock that jumps an hour either way loses nothing and causes no storm', async () => {
    const { alice, bob, far, clock, until } = await friends(database)
    for (const jumpMs of [3_600_000, -3_600_000]) {
      const before = far.gets(bob)
      far.answerNext(DEVICES, status(503), 2)
      bob.addDevice(`LOST${jumpMs}`)
      await far.sendEdus('hs1', [bob.addDevice(`NEW${jumpMs}`)])
      clock.set(clock.now() + jumpMs)
      await until(hearsOf(alice, bob), 60_000)
      assert.ok(far.gets(bob) - before <= 6, `${far.gets(bob) - before}`)
    }
  })
})
