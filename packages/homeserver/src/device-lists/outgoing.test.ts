import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../test/support/databases.ts'
import type { ReceivedEdu } from '../../test/support/remote-endpoints.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import { type ClientAnswer, confirmation } from '../../test/support/test-client.ts'
import { createTestIdentity } from '../../test/support/test-keys.ts'
import { testNetwork } from '../../test/support/test-network.ts'

/** Alice shares a room with carol of a scripted remote, which has asked for her list once. */
async function watched(database: TestDatabase) {
  const net = await testNetwork(['hs1'], { database })
  const alice = await net.servers.hs1.register('alice')
  const far = net.remote('far.example')
  const room = await net.rooms.share([alice, far.addUser('carol')])
  await net.settle()
  const path = `/_matrix/federation/v1/user/devices/${encodeURIComponent(alice.userId)}`
  const list = async (): Promise<ClientAnswer['body']> => (await far.request('hs1', { method: 'GET', path })).body
  return { ...net, alice, far, room, list, first: await list(), before: far.received.length }
}

const updates = (received: readonly ReceivedEdu[]) =>
  received.filter(({ edu_type: type }) => type === 'm.device_list_update').map(({ content }) => content)

/** Fails unless each update follows the one before, the first what the list said. */
function assertChain(edus: readonly ReceivedEdu['content'][], start: number): void {
  let last = start
  for (const { stream_id: streamId, prev_id: prevId } of edus) {
    assert.deepEqual(prevId, [last])
    assert.ok((streamId as number) > last)
    last = streamId as number
  }
}

forEachDatabase((database) => {
  test('every change is one update that names the one before; the list has the ID of the last', async () => {
    const { alice, far, list, first, before, settle } = await watched(database)
    const changes: [string, () => Promise<unknown>][] = [
      ['TABLET', () => alice.login('TABLET')],
      ['TABLET', () => alice.request('PUT', '/devices/TABLET', { display_name: 'a tablet' })],
      ['TABLET', () => alice.request('DELETE', '/devices/TABLET', { auth: confirmation(alice) })],
      ['LAPTOP', () => alice.login('LAPTOP')],
    ]
    for (const [deviceId, change] of changes) {
      await change()
      await settle()
      const last = updates(far.received).at(-1)!
      assert.equal(last.device_id, deviceId)
      assert.equal((await list()).stream_id, last.stream_id)
    }
    const told = updates(far.received.slice(before))
    assertChain(told, first.stream_id)
    // To log in is two: the new device, and its keys, which the first may have already if it goes out late.
    const login = new Set([0, 4])
    assert.deepEqual(
      told.map(({ device_id: id, keys, device_display_name: name, deleted }, index) => [
        id,
        login.has(index) || Boolean(keys),
        name,
        deleted,
      ]),
      [
        ['TABLET', true, undefined, undefined],
        ['TABLET', true, undefined, undefined],
        ['TABLET', true, 'a tablet', undefined],
        ['TABLET', false, undefined, true],
        ['LAPTOP', true, undefined, undefined],
        ['LAPTOP', true, undefined, undefined],
      ],
    )
  })

  test('the list has all devices with names and keys, and the cross-signing keys that others may see', async () => {
    const { alice, list } = await watched(database)
    await alice.request('PUT', `/devices/${alice.deviceId}`, { display_name: 'a phone' })
    const identity = createTestIdentity(createSeededRandom('identity'), alice.userId)
    const { masterKey: master_key, selfSigningKey: self_signing_key, userSigningKey: user_signing_key } = identity
    await alice.request('POST', '/keys/device_signing/upload', { master_key, self_signing_key, user_signing_key })
    const { stream_id: streamId, ...rest } = await list()
    assert.ok(Number.isSafeInteger(streamId))
    assert.deepEqual(rest, {
      user_id: alice.userId,
      devices: [{ device_id: alice.deviceId, device_display_name: 'a phone', keys: alice.device.deviceKeys }],
      master_key,
      self_signing_key,
    })
  })

  test('of what changed while a server was down only the last state is told, in an unbroken chain', async () => {
    const { alice, far, first, before, list, network, servers, until } = await watched(database)
    network.partition(['hs1'], ['far.example'])
    for (let n = 0; n < 5; n++) await alice.request('PUT', `/devices/${alice.deviceId}`, { display_name: `name ${n}` })
    await alice.login('BRIEF')
    await alice.request('DELETE', '/devices/BRIEF', { auth: confirmation(alice) })
    await alice.login('TABLET')
    await servers.hs1.restart()
    network.heal()
    const arrived = () => updates(far.received.slice(before))
    await until(() => arrived().some(({ device_id: id }) => id === 'TABLET'), 3_600_000)
    assertChain(arrived(), first.stream_id)
    assert.deepEqual(
      arrived().map(({ device_id: id, device_display_name: name, deleted }) => [id, name, deleted]),
      [
        [alice.deviceId, 'name 4', undefined],
        ['BRIEF', undefined, true],
        ['TABLET', undefined, undefined],
      ],
    )
    assert.equal((await list()).stream_id, arrived().at(-1)!.stream_id)
  })

  test('a change while an update is on its way comes after it, in an unbroken chain', async () => {
    const { alice, far, first, before, list, settle } = await watched(database)
    const held = far.hang({ endpoint: 'send' })
    await alice.request('PUT', `/devices/${alice.deviceId}`, { display_name: 'first' })
    await settle()
    await alice.request('PUT', `/devices/${alice.deviceId}`, { display_name: 'second' })
    await alice.login('TABLET')
    held.release()
    await settle()
    const told = updates(far.received.slice(before))
    assertChain(told, first.stream_id)
    assert.deepEqual(
      told.map(({ device_id: id, device_display_name: name }) => [id, name]),
      [
        [alice.deviceId, 'first'],
        [alice.deviceId, 'second'],
        ['TABLET', undefined],
      ],
    )
    assert.equal((await list()).stream_id, told.at(-1)!.stream_id)
  })

  test('a server that no longer shares a room is told nothing, not even what waited for it', async () => {
    const { alice, far, room, before, network, advance, settle } = await watched(database)
    network.partition(['hs1'], ['far.example'])
    await alice.login('TABLET')
    await settle()
    await room.end()
    await alice.login('LAPTOP')
    await settle()
    network.heal()
    await advance(3_600_000)
    await settle()
    assert.deepEqual(updates(far.received.slice(before)), [])
  })
})
