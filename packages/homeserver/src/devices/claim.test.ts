import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { edited, garbage, html, status } from '../../test/support/remote-answers.ts'
import type { ClientAnswer, TestClient } from '../../test/support/test-client.ts'
import { testNetwork } from '../../test/support/test-network.ts'

const CURVE = 'signed_curve25519'
type Target = { userId: string; deviceId: string }

const wanted = (...targets: Target[]) =>
  Object.fromEntries(targets.map(({ userId, deviceId }) => [userId, { [deviceId]: CURVE }]))
const claim = (by: TestClient, one_time_keys: unknown, timeout?: number): Promise<ClientAnswer> =>
  by.request('POST', '/keys/claim', { one_time_keys, ...(timeout === undefined ? {} : { timeout }) })
const namesIn = ({ body }: ClientAnswer, { userId, deviceId }: Target) =>
  Object.keys(body.one_time_keys[userId]?.[deviceId] ?? {})

const newKeys = ({ device }: TestClient, count: number) => Array.from({ length: count }, () => device.oneTimeKey())

/** Uploads one-time keys in one request. @returns their names */
async function stock(client: TestClient, count: number, keys = newKeys(client, count)): Promise<string[]> {
  await client.request('POST', '/keys/upload', { one_time_keys: Object.fromEntries(keys) })
  return keys.map(([name]) => name)
}

async function addFallback(client: TestClient): Promise<string> {
  const [name, key] = client.device.oneTimeKey({ fallback: true })
  await client.request('POST', '/keys/upload', { fallback_keys: { [name]: key } })
  return name
}

forEachDatabase((database) => {
  test('of fifty claims at the same time each gets a key of its own while there are any, then the fallback', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
    const names = await stock(bob, 30)
    const fallback = await addFallback(bob)
    const answers = await Promise.all(Array.from({ length: 50 }, () => claim(alice, wanted(bob))))
    const given = answers.flatMap((answer) => namesIn(answer, bob))
    assert.deepEqual(given.filter((name) => name !== fallback).sort(), names.sort())
    assert.equal(given.filter((name) => name === fallback).length, 20)
    assert.deepEqual((await bob.sync()).device_unused_fallback_key_types, [])
  })

  test('keys are given out request by request in the order of upload', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
    // The order of upload is not the order of their names.
    const batches = [1, 2, 3].map(() => newKeys(bob, 3)).reverse()
    for (const keys of batches) await stock(bob, 3, keys)
    for (const batch of batches.map((keys) => keys.map(([name]) => name))) {
      const given = []
      for (let i = 0; i < 3; i++) given.push(...namesIn(await claim(alice, wanted(bob)), bob))
      assert.deepEqual(given.sort(), batch.sort())
    }
    assert.deepEqual((await claim(alice, wanted(bob))).body, { one_time_keys: {}, failures: {} })
  })

  test('claims for several devices, in any order at the same time, do not get in the way of each other', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const phone = await servers.hs1.register('bob')
    const clients = [phone, await phone.login('TABLET'), await servers.hs1.register('carol')]
    for (const client of clients) await stock(client, 12)
    const byUser = [
      [phone.userId, { [phone.deviceId]: CURVE, TABLET: CURVE }],
      [clients[2]!.userId, { [clients[2]!.deviceId]: CURVE }],
    ] as const
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => claim(phone, Object.fromEntries(n % 2 ? byUser : byUser.toReversed()))),
    )
    for (const client of clients) {
      assert.equal(new Set(answers.flatMap((answer) => namesIn(answer, client))).size, 12)
    }
  })

  test('what is not there is left out and is no failure', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    await stock(alice, 1)
    const asked = {
      '@nobody:hs1': { PHONE: CURVE },
      [alice.userId]: { [alice.deviceId]: 'another algorithm', GONE: CURVE },
    }
    assert.deepEqual((await claim(alice, asked)).body, { one_time_keys: {}, failures: {} })
    assert.equal(namesIn(await claim(alice, wanted(alice)), alice).length, 1)
  })

  test('a device may have any name', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const odd = await (await servers.hs1.register('alice')).login('__proto__')
    const [name] = await stock(odd, 1)
    assert.deepEqual(namesIn(await claim(odd, wanted(odd)), odd), [name])
  })

  test('a claim that is misshapen is refused', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    for (const asked of [
      undefined,
      [],
      { alice: {} },
      { [alice.userId]: [CURVE] },
      { [alice.userId]: { [alice.deviceId]: 1 } },
    ]) {
      const { status, body } = await claim(alice, asked)
      assert.deepEqual([status, body.errcode], [400, 'M_BAD_JSON'], JSON.stringify(asked))
    }
    assert.equal((await claim(alice, {}, -1)).status, 400)
  })

  test('keys of several servers come together; one that fails is named, and keeps nobody else waiting', async () => {
    const { servers, remote, advance, settle } = await testNetwork(['hs1', 'hs2'], { database })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs2.register('bob')]
    const [ours, theirs] = [await stock(alice, 1), await stock(bob, 1)]
    const slow = remote('slow.example')
    const carol = { userId: slow.addUser('carol').userId, deviceId: 'PHONE' }
    const hanging = slow.hang({ endpoint: 'claim' })
    let answer: ClientAnswer | undefined
    const claimed = claim(alice, wanted(alice, bob, carol, { userId: '@dave:gone.example', deviceId: 'D' }), 4_000)
    void claimed.then((one) => {
      answer = one
    })
    await settle()
    await advance(3_999)
    assert.equal(answer, undefined)
    await advance(1)
    await claimed
    assert.deepEqual([namesIn(answer!, alice), namesIn(answer!, bob)], [ours, theirs])
    assert.deepEqual(Object.keys(answer!.body.failures).sort(), ['gone.example', 'slow.example'])
    hanging.release()
  })

  test('a user or device that a server does not know is no failure of the server', async () => {
    const { servers } = await testNetwork(['hs1', 'hs2'], { database })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs2.register('bob')]
    const asked = { '@nobody:hs2': { PHONE: CURVE }, [bob.userId]: { GONE: CURVE } }
    assert.deepEqual((await claim(alice, asked)).body, { one_time_keys: {}, failures: {} })
  })

  test('of what another server answers only that is taken which was asked for', async () => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    const far = remote('far.example')
    const bob = far.addUser('bob')
    bob.addDevice('PHONE')
    const target = { userId: bob.userId, deviceId: 'PHONE' }
    const key = { 'signed_curve25519:X': { key: 'x' } }
    far.answerNext(
      { endpoint: 'claim' },
      edited(() => ({
        one_time_keys: {
          [bob.userId]: { PHONE: { 'other:Y': 'y', ...key }, TABLET: key },
          [alice.userId]: { [alice.deviceId]: key },
        },
      })),
    )
    const { body } = await claim(alice, wanted(target))
    assert.deepEqual(body, { one_time_keys: { [bob.userId]: { PHONE: key } }, failures: {} })
    for (const wrong of [status(500), status(403), garbage, html(200)]) {
      far.answerNext({ endpoint: 'claim' }, wrong)
      const { body } = await claim(alice, wanted(target))
      assert.deepEqual([body.one_time_keys, Object.keys(body.failures)], [{}, ['far.example']])
    }
  })

  test("another server claims our users' keys, and nobody else's", async () => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    const [name] = await stock(alice, 1)
    const fallback = await addFallback(alice)
    const far = remote('far.example')
    const ask = async (one_time_keys: unknown) => {
      const path = '/_matrix/federation/v1/user/keys/claim'
      return far.request('hs1', { method: 'POST', path, body: { one_time_keys } })
    }
    const asked = { ...wanted(alice), '@carol:third.example': { PHONE: CURVE } }
    const first = await ask(asked)
    assert.deepEqual(Object.keys(first.body.one_time_keys), [alice.userId])
    assert.deepEqual(namesIn(first, alice), [name])
    assert.deepEqual(namesIn(await ask(asked), alice), [fallback])
    const { status, body } = await ask([])
    assert.deepEqual([status, body.errcode], [400, 'M_BAD_JSON'])
  })

  if (database.name === 'sqlite') return
  test('two processes never give out the same key', async () => {
    const { servers, addProcess } = await testNetwork(['hs1'], { database })
    const processes = [servers.hs1, await addProcess('hs1')]
    const bob = await servers.hs1.register('bob')
    const names = await stock(bob, 30)
    const fallback = await addFallback(bob)
    const request = { method: 'POST', path: '/_matrix/client/v3/keys/claim', token: bob.accessToken }
    const body = { one_time_keys: wanted(bob) }
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => processes[n % 2]!.ask({ ...request, body })))
    const given = answers.flatMap((answer) => namesIn(answer, bob))
    assert.deepEqual(given.filter((name) => name !== fallback).sort(), names.sort())
    assert.equal(given.length, 40)
  })
})
