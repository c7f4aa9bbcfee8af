import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../../test/support/databases.ts'
import { type ClientAnswer, confirmation, type TestClient } from '../../../test/support/test-client.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

const codes = ({ status, body }: ClientAnswer) => [status, body.errcode]
const idsOf = async (client: TestClient): Promise<string[]> =>
  (await client.request('GET', '/devices')).body.devices.map((device: { device_id: string }) => device.device_id)
const rename = (client: TestClient, deviceId: string, body: unknown) =>
  client.request('PUT', `/devices/${encodeURIComponent(deviceId)}`, body)
const remove = (client: TestClient, deviceId: string, auth?: object) =>
  client.request('DELETE', `/devices/${encodeURIComponent(deviceId)}`, auth && { auth })
const whoami = async (client: TestClient) => codes(await client.request('GET', '/account/whoami'))
const LOGGED_OUT = [401, 'M_UNKNOWN_TOKEN']

forEachDatabase((database) => {
  /** Alice on a phone and a tablet shares a room with bob, and with carol of a scripted remote. */
  async function start() {
    const net = await testNetwork(['hs1'], { database })
    const { register } = net.servers.hs1
    const [alice, bob] = [await register('alice'), await register('bob')]
    const tablet = await alice.login('TABLET')
    const far = net.remote('far.example')
    await net.rooms.share([alice, bob, far.addUser('carol')])
    await net.settle()
    for (const client of [alice, bob]) await client.sync()
    return { ...net, alice, tablet, bob, far }
  }

  test('a user sees their own devices, with where and when each was seen', async () => {
    const { alice, bob, clock } = await start()
    assert.deepEqual((await idsOf(alice)).sort(), [alice.deviceId, 'TABLET'].sort())
    const tablet = await alice.request('GET', '/devices/TABLET')
    assert.deepEqual(tablet.body, { device_id: 'TABLET', last_seen_ip: '127.0.0.1', last_seen_ts: clock.now() })
    assert.deepEqual(codes(await bob.request('GET', '/devices/TABLET')), [404, 'M_NOT_FOUND'])
  })

  test('a new name is shown, and told to those who share a room; the same name again is not', async () => {
    const { alice, bob, far, settle } = await start()
    const before = far.deviceEdus.length
    for (const expected of [[alice.userId], []]) {
      assert.deepEqual((await rename(alice, 'TABLET', { display_name: 'in the kitchen' })).body, {})
      assert.deepEqual((await bob.sync()).device_lists.changed, expected)
    }
    assert.equal((await rename(alice, 'TABLET', {})).status, 200)
    assert.equal((await alice.request('GET', '/devices/TABLET')).body.display_name, 'in the kitchen')
    await settle()
    const told = far.deviceEdus.slice(before).map(({ content }) => [content.device_id, content.device_display_name])
    assert.deepEqual(told, [['TABLET', 'in the kitchen']])
  })

  test('a name that is too long or none, and a device that is not there, are refused', async () => {
    const { alice, bob } = await start()
    for (const body of [{ display_name: 'x'.repeat(256) }, { display_name: null }, undefined]) {
      assert.deepEqual(codes(await rename(alice, 'TABLET', body)), [400, 'M_BAD_JSON'])
    }
    for (const body of [{}, { display_name: 'mine' }]) {
      assert.deepEqual(codes(await rename(bob, 'TABLET', body)), [404, 'M_NOT_FOUND'])
    }
    assert.equal((await alice.request('GET', '/devices/TABLET')).body.display_name, undefined)
  })

  test('a device is deleted once its user confirms it: its session ends, and others are told', async () => {
    const { alice, tablet, bob, far, settle } = await start()
    const before = far.deviceEdus.length
    const asked = await remove(alice, 'TABLET')
    assert.equal(asked.status, 401)
    assert.deepEqual(asked.body.flows, [{ stages: ['m.login.password'] }])
    assert.deepEqual(codes(await remove(alice, 'TABLET', confirmation(alice, 'guess'))), [401, 'M_FORBIDDEN'])
    assert.deepEqual(codes(await remove(alice, 'TABLET', confirmation(bob))), [403, 'M_FORBIDDEN'])
    assert.deepEqual(await whoami(tablet), [200, undefined])
    assert.deepEqual((await bob.sync()).device_lists.changed, [])

    const auth = { ...confirmation(alice), session: asked.body.session }
    assert.deepEqual((await remove(alice, 'TABLET', auth)).body, {})
    assert.deepEqual(await whoami(tablet), LOGGED_OUT)
    assert.deepEqual(await idsOf(alice), [alice.deviceId])
    assert.deepEqual((await bob.sync()).device_lists.changed, [alice.userId])
    const { body } = await bob.request('POST', '/keys/query', { device_keys: { [alice.userId]: [] } })
    assert.deepEqual(Object.keys(body.device_keys[alice.userId]), [alice.deviceId])
    await settle()
    const told = far.deviceEdus.slice(before).map(({ content }) => [content.device_id, content.deleted, content.keys])
    assert.deepEqual(told, [['TABLET', true, undefined]])

    const again = await remove(alice, 'TABLET', confirmation(alice))
    assert.deepEqual([again.status, again.body], [200, {}])
    await settle()
    assert.equal(far.deviceEdus.length, before + 1)
  })

  test('what was confirmed for one device is not good for another', async () => {
    const { alice } = await start()
    const { session } = (await remove(alice, 'TABLET')).body
    const auth = { ...confirmation(alice), session }
    assert.deepEqual(codes(await remove(alice, alice.deviceId, auth)), [403, 'M_FORBIDDEN'])
    assert.equal((await idsOf(alice)).length, 2)
  })

  test("several devices are deleted at once, and nobody else's", async () => {
    const { alice, tablet, bob, far, settle } = await start()
    const laptop = await alice.login('LAPTOP')
    await bob.login('OFFICE')
    await settle()
    const before = far.deviceEdus.length
    const devices = ['TABLET', 'LAPTOP', 'LAPTOP', 'OFFICE', 'GONE']
    const ask = (body: object) => alice.request('POST', '/delete_devices', body)
    assert.equal((await ask({ devices })).status, 401)
    assert.deepEqual(codes(await ask({ devices: 'TABLET' })), [400, 'M_BAD_JSON'])
    assert.deepEqual(codes(await ask({ auth: confirmation(alice) })), [400, 'M_BAD_JSON'])
    assert.deepEqual((await ask({ devices, auth: confirmation(alice) })).body, {})
    assert.deepEqual([await whoami(tablet), await whoami(laptop)], [LOGGED_OUT, LOGGED_OUT])
    assert.deepEqual(await idsOf(alice), [alice.deviceId])
    assert.equal((await idsOf(bob)).length, 2)
    await settle()
    const told = far.deviceEdus.slice(before).map(({ content }) => `${content.device_id} ${content.deleted}`)
    assert.deepEqual(told.sort(), ['LAPTOP true', 'TABLET true'])
  })

  test('a device that is logged out is gone, with its keys and messages', async () => {
    const { alice, tablet, bob } = await start()
    await tablet.uploadKeys(5)
    const messages = { [alice.userId]: { TABLET: { text: 'for the one before' } } }
    await bob.request('PUT', '/sendToDevice/x/1', { messages })
    assert.equal((await tablet.request('POST', '/logout')).status, 200)
    assert.deepEqual(await whoami(tablet), LOGGED_OUT)
    assert.deepEqual(await idsOf(alice), [alice.deviceId])
    const again = await alice.login('TABLET')
    const { device_one_time_keys_count: counts, to_device: inbox } = await again.sync()
    assert.deepEqual([counts, inbox.events], [{}, []])
  })

  test('a device that logs in again keeps its keys, and its older token ends', async () => {
    const { alice, tablet, servers } = await start()
    await tablet.uploadKeys(5)
    const v3 = '/_matrix/client/v3'
    const wish = { ...confirmation(alice), device_id: 'TABLET', initial_device_display_name: 'ignored' }
    const { body } = await servers.hs1.ask({ method: 'POST', path: `${v3}/login`, body: wish })
    assert.equal(body.device_id, 'TABLET')
    assert.deepEqual(await whoami(tablet), LOGGED_OUT)
    const synced = await servers.hs1.ask({ method: 'GET', path: `${v3}/sync`, token: body.access_token })
    assert.deepEqual(synced.body.device_one_time_keys_count, { signed_curve25519: 5 })
    assert.equal((await alice.request('GET', '/devices/TABLET')).body.display_name, undefined)
  })
})
