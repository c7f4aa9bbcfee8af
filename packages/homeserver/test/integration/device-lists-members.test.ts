import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UserId } from '../../src/matrix/ids.ts'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import * as answers from '../support/remote-answers.ts'
import type { RemoteUser } from '../support/remote-user.ts'
import { confirmation, type TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'
import { testRoom } from '../support/test-room.ts'
import { type AliceAndBob, changedFor, devicesSeenBy, friends, hearsOf, queryKeys, strangers } from './alice-and-bob.ts'

const DEVICES = { endpoint: 'devices' } as const
const { status } = answers

/** The updates of alice's devices that bob's server has got, oldest first. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into it freely.
const updatesAt = ({ far, alice }: AliceAndBob): any[] =>
  far.received
    .filter(({ edu_type, content }) => edu_type === 'm.device_list_update' && content.user_id === alice.userId)
    .map(({ content }) => content)

/** The list of alice as bob's server would have it, after the updates that it has got. */
function listAt(world: AliceAndBob): string[] {
  const devices = new Set<string>()
  for (const { device_id: id, deleted } of updatesAt(world)) deleted ? devices.delete(id) : devices.add(id)
  return [...devices].sort()
}

/** Two real servers and a room of alice's that bob of the other one is in. */
async function twoServers(database: TestDatabase) {
  const net = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
  const alice = await net.servers.hs1.register('alice')
  const bob = await net.servers.hs2.register('bob')
  const room = await testRoom(alice)
  const join = () => bob.request('POST', `/join/${encodeURIComponent(room.roomId)}?server_name=hs1`, {})
  const gets = () =>
    net.network.requests({ from: 'hs1', to: 'hs2', path: '/_matrix/federation/v1/user/devices/' }).length
  const seen = async () => {
    const { body } = await alice.request('POST', '/keys/query', { device_keys: { [bob.userId]: [] }, timeout: 10_000 })
    return Object.keys(body.device_keys[bob.userId] ?? {}).sort()
  }
  return { ...net, alice, bob, room, join, gets, seen }
}

/** `keys` of what the client has, in alphabetical order. */
const device = (client: TestClient) => client.deviceId

forEachDatabase((database) => {
  describe('leaving and coming back', () => {
    test('scenario 21: bob leaves, changes, comes back: his list is fetched', async () => {
      const { alice, bob, far, rooms, settle } = await friends(database)
      await rooms.unshare([alice, bob])
      bob.addDevice('LOST')
      await rooms.share([alice, bob])
      await settle()
      assert.equal(far.gets(bob), 2)
      assert.deepEqual((await changedFor(alice)).sort(), [alice.userId, bob.userId])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE'])
    })

    test('a fetch that is under way when bob leaves does not make his list right', async () => {
      const { alice, bob, far, rooms, settle, until } = await friends(database)
      const held = far.hang(DEVICES)
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      await rooms.unshare([alice, bob])
      held.release()
      await settle()
      bob.addDevice('LATER')
      await rooms.share([alice, bob])
      await until(hearsOf(alice, bob), 60_000)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LATER', 'LOST', 'PHONE', 'TABLET'])
    })

    test('scenario 22: alice leaves and comes back: the list is fetched', async () => {
      const { alice, bob, far, rooms, settle } = await strangers(database)
      const room = await rooms.share([alice, bob])
      await settle()
      await room.leave(alice)
      bob.addDevice('LOST')
      await rooms.share([alice, bob])
      await settle()
      assert.equal(far.gets(bob), 2)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LOST', 'PHONE'])
    })

    test('scenario 23: a gap while the remote is down does not outlive the room, nor is it asked for without one', async () => {
      const { alice, bob, far, rooms, settle, advance } = await friends(database)
      far.answerAlways(DEVICES, status(503))
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      await rooms.unshare([alice, bob])
      // Word from the remote, that bob leaves, is a reason to try once more.
      await settle()
      const gets = far.gets(bob)
      await advance(3_600_000)
      assert.equal(far.gets(bob), gets)
      far.answerNormally()
      bob.addDevice('LATER')
      await far.sendEdus('hs1', [])
      await settle()
      assert.equal(far.gets(bob), gets)
      await rooms.share([alice, bob])
      await settle()
      assert.deepEqual(await devicesSeenBy(alice, bob), ['LATER', 'LOST', 'PHONE', 'TABLET'])
    })

    test('scenario 23: a fetch that fails after the room is gone is not made again', async () => {
      const { alice, bob, far, rooms, settle, advance } = await friends(database)
      const fails = Promise.withResolvers<void>()
      far.answerAlways(DEVICES, async (...asked) => {
        await fails.promise
        return status(503)(...asked)
      })
      bob.addDevice('LOST')
      await far.sendEdus('hs1', [bob.addDevice('TABLET')])
      await settle()
      await rooms.unshare([alice, bob])
      fails.resolve()
      await settle()
      const gets = far.gets(bob)
      await advance(3_600_000)
      assert.equal(far.gets(bob), gets)
    })

    for (const [how, membership] of [
      ['banned', 'ban'],
      ['kicked', 'leave'],
    ] as const) {
      test(`scenario 24: bob is ${how}, changes, comes back: his list is fetched`, async () => {
        const { alice, bob, room, join, gets, seen, network, settle, advance } = await twoServers(database)
        assert.equal((await join()).status, 200)
        await settle()
        assert.deepEqual(await seen(), [device(bob)])
        await room.change(alice, bob, membership)
        await settle()
        const before = gets()
        network.fault('hs2', 'hs1', { drop: true })
        const second = await bob.login('SECOND')
        await settle()
        network.heal()
        if (membership === 'ban') await room.change(alice, bob, 'leave')
        assert.equal((await join()).status, 200)
        await advance(30_000)
        assert.ok(gets() > before)
        assert.deepEqual(await seen(), [device(bob), device(second)].sort())
      })
    }

    test('scenario 24: the last of ours closes her account, bob changes, another of ours meets him: fetched', async () => {
      const { servers, alice, bob, room, join, gets, settle, advance } = await twoServers(database)
      assert.equal((await join()).status, 200)
      await settle()
      const auth = confirmation(alice)
      assert.equal((await alice.request('POST', '/account/deactivate', { auth })).status, 200)
      await advance(30_000)
      const before = gets()
      const second = await bob.login('SECOND')
      await advance(30_000)
      assert.equal(gets(), before)
      const carol = await servers.hs1.register('carol')
      const path = `/join/${encodeURIComponent(room.roomId)}?server_name=hs2`
      assert.equal((await carol.request('POST', path, {})).status, 200)
      await advance(30_000)
      assert.ok(gets() > before)
      assert.deepEqual(await devicesSeenBy(carol, bob), [device(bob), device(second)].sort())
    })
  })

  describe('our own changes', () => {
    test('scenario 26: a change while the remote is down arrives though it is silent', async () => {
      const world = await friends(database)
      const { alice, far, settle, until } = world
      far.answerAlways({ endpoint: 'send' }, status(503))
      await alice.login('SECOND')
      await settle()
      const isTold = () => updatesAt(world).some(({ device_id: id }) => id === 'SECOND')
      assert.equal(isTold(), false)
      far.answerNormally()
      await until(isTold, 30_000)
    })

    test('scenario 27: 5,000 changes while the remote is down are told as what came of them', async () => {
      const world = await friends(database)
      const { alice, far, servers, network, settle, until } = world
      far.answerAlways({ endpoint: 'send' }, status(503))
      const rename = (n: number) => alice.request('PUT', `/devices/${alice.deviceId}`, { display_name: `name ${n}` })
      for (let n = 0; n < 100; n++) await rename(n)
      // A hundred devices that come and go, again and again: told to the engine as the devices API does, many at once.
      const { deviceLists, store } = servers.hs1.homeserver.ctx
      const gone = Array.from({ length: 100 }, (_, n) => `GONE${n}`)
      for (let n = 0; n < 49; n++)
        await store.transaction((tx) => deviceLists.deviceChanged(tx, alice.userId as UserId, gone))
      const second = await alice.login('SECOND')
      const third = await alice.login('THIRD')
      await third.request('POST', '/logout')
      await settle()
      far.answerNormally()
      const before = updatesAt(world).length
      const { stream_id: newest } = await deviceLists.localList(alice.userId as UserId)
      assert.ok((newest as number) >= 5_000)
      await until(() => updatesAt(world).at(-1)?.stream_id === newest, 60_000)
      assert.deepEqual(listAt(world), [alice.deviceId, second.deviceId].sort())
      const told = updatesAt(world).slice(before)
      assert.ok(told.length <= gone.length + 4, `${told.length}`)
      for (const [n, { prev_id }] of told.entries()) if (n > 0) assert.deepEqual(prev_id, [told[n - 1].stream_id])
      for (const { body } of network.requests({ to: far.serverName, path: '/_matrix/federation/v1/send/' }))
        assert.ok(body.edus.length <= 100)
      const renamed = told.findLast(({ device_id: id }) => id === alice.deviceId)
      assert.equal(renamed.device_display_name, 'name 99')
    })

    test('scenario 28: a server that joins hears of the devices that are there', async () => {
      const { alice, join, network, advance } = await twoServers(database)
      const told = () =>
        network
          .requests({ from: 'hs1', to: 'hs2', path: '/_matrix/federation/v1/send/' })
          .flatMap(({ body }) => body.edus ?? [])
          .filter(({ edu_type }: { edu_type: string }) => edu_type === 'm.device_list_update')
          .map(({ content }: { content: { user_id: string; device_id: string } }) => [
            content.user_id,
            content.device_id,
          ])
      assert.deepEqual(told(), [])
      assert.equal((await join()).status, 200)
      await advance(5_000)
      assert.deepEqual(told(), [[alice.userId, alice.deviceId]])
    })

    test('scenario 29: each update names the one before it, and the list stands where the next one follows', async () => {
      const world = await friends(database)
      const { alice, far, settle } = world
      const path = `/_matrix/federation/v1/user/devices/${encodeURIComponent(alice.userId)}`
      const streamId = async () => (await far.request('hs1', { method: 'GET', path })).body.stream_id
      let at = await streamId()
      for (let n = 0; n < 3; n++) {
        await alice.request('PUT', `/devices/${alice.deviceId}`, { display_name: `name ${n}` })
        await settle()
        const update = updatesAt(world).at(-1)
        assert.deepEqual(update.prev_id, [at])
        assert.equal(await streamId(), update.stream_id)
        at = update.stream_id
      }
    })
  })

  describe('recovery with nobody asking', () => {
    const troubles: [string, (world: AliceAndBob) => () => void][] = [
      [
        'refuses',
        ({ network, far }) => {
          network.fault('hs1', far.serverName, { drop: true })
          return () => network.heal()
        },
      ],
      [
        'hangs',
        ({ far }) => {
          far.answerAlways(DEVICES, () => new Promise(() => {}))
          return () => far.answerNormally()
        },
      ],
      ...[answers.garbage, status(500), status(429)].map((answer, n): [string, (world: AliceAndBob) => () => void] => [
        ['answers garbage', 'answers 500', 'answers 429'][n]!,
        ({ far }) => {
          far.answerAlways(DEVICES, answer)
          return () => far.answerNormally()
        },
      ]),
    ]
    const LAST_MS = [1_000, 29_000, 45_000, 130_000, 400_000]
    for (const [what, begin] of troubles) {
      /** A gap with the remote in trouble for so long; then what it takes for its list to be right. */
      const trouble = async (lastsMs: number, speaks: boolean): Promise<number> => {
        const world = await friends(database)
        const { alice, bob, far, advance, until } = world
        // So that its keys are known.
        await far.sendEdus('hs1', [])
        const end = begin(world)
        bob.addDevice('LOST')
        await far.sendEdus('hs1', [bob.addDevice('TABLET')])
        await advance(lastsMs)
        end()
        if (speaks) await far.sendEdus('hs1', [])
        const took = await until(hearsOf(alice, bob), 60_000)
        assert.equal(await devices(alice, bob), 3)
        return took
      }
      test(`a remote that ${what} and then speaks is fresh within two seconds`, async () => {
        for (const lastsMs of LAST_MS) {
          const took = await trouble(lastsMs, true)
          assert.ok(took < 2_000 || (what === 'answers 429' && took < 5_000), `${took} ms after ${lastsMs}`)
        }
      })
      test(`a remote that ${what} and then is silent is fresh within half a minute`, async () => {
        for (const lastsMs of LAST_MS) {
          const took = await trouble(lastsMs, false)
          assert.ok(took < 30_000, `${took} ms after ${lastsMs}`)
        }
      })
    }
  })

  async function devices(alice: TestClient, bob: RemoteUser): Promise<number> {
    return Object.keys((await queryKeys(alice, bob)).device_keys[bob.userId]).length
  }
})
