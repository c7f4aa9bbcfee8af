import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../../test/support/databases.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

forEachDatabase((database) => {
  async function world() {
    const net = await testNetwork(['hs1'], { database })
    const far = net.remote('far.example')
    const alice = await net.servers.hs1.register('alice')
    const list = (userId: string) =>
      far.request('hs1', { method: 'GET', path: `/_matrix/federation/v1/user/devices/${encodeURIComponent(userId)}` })
    return { ...net, far, alice, list }
  }

  test('the list of one of our users: devices with keys and names, and the stream ID', async () => {
    const { alice, list } = await world()
    const before = (await list(alice.userId)).body
    assert.deepEqual(before, {
      user_id: alice.userId,
      stream_id: before.stream_id,
      devices: [{ device_id: alice.deviceId, keys: alice.device.deviceKeys }],
    })
    await alice.request('PUT', `/devices/${alice.deviceId}`, { display_name: 'my phone' })
    const tablet = await alice.login('TABLET')
    const after = (await list(alice.userId)).body
    assert.deepEqual(
      after.devices.sort((a: { device_id: string }, b: { device_id: string }) => (a.device_id < b.device_id ? -1 : 1)),
      [
        { device_id: alice.deviceId, device_display_name: 'my phone', keys: alice.device.deviceKeys },
        { device_id: 'TABLET', keys: tablet.device.deviceKeys },
      ].sort((a, b) => (a.device_id < b.device_id ? -1 : 1)),
    )
    assert.ok(Number.isSafeInteger(after.stream_id) && after.stream_id > before.stream_id)
  })

  test('who is nobody here', async () => {
    const { far, list } = await world()
    const bob = far.addUser('bob')
    for (const userId of ['@nobody:hs1', bob.userId, '@alice:hs2', 'alice', '@alice', '@alice:hs1:1', '@\0:hs1']) {
      const { status, body } = await list(userId)
      assert.deepEqual([status, body.errcode], [404, 'M_NOT_FOUND'], userId)
    }
  })
})
