import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

const ALGORITHM = 'm.megolm_backup.v1.curve25519-aes-sha2'
const authData = { public_key: 'abc' }

async function alicesBackup(database: TestDatabase) {
  const { servers } = await testNetwork(['hs1'], { database })
  const alice = await servers.hs1.register('alice')
  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await alice.request(method, `/room_keys${path}`, body)
    return answer.status === 200 ? answer.body : [answer.status, answer.body.errcode]
  }
  const create = async () => (await call('POST', '/version', { algorithm: ALGORITHM, auth_data: authData })).version
  return { call, create, servers }
}

const session = (firstMessageIndex = 1, text = 'x') => ({
  first_message_index: firstMessageIndex,
  forwarded_count: 0,
  is_verified: false,
  session_data: { ciphertext: text },
})

forEachDatabase((database) => {
  test('versions count up, and are never given out twice', async () => {
    const { call, create } = await alicesBackup(database)
    assert.deepEqual(await call('GET', '/version'), [404, 'M_NOT_FOUND'])
    const [first, second] = [await create(), await create()]
    assert.notEqual(first, second)
    const newest = { version: second, algorithm: ALGORITHM, auth_data: authData, count: 0, etag: '0' }
    assert.deepEqual(await call('GET', '/version'), newest)
    assert.deepEqual(await call('GET', `/version/${first}`), { ...newest, version: first })
    assert.deepEqual(await call('DELETE', `/version/${second}`), {})
    assert.equal((await call('GET', '/version')).version, first)
    assert.deepEqual(await call('GET', `/version/${second}`), [404, 'M_NOT_FOUND'])
    assert.deepEqual(await call('DELETE', `/version/${second}`), [404, 'M_NOT_FOUND'])
    assert.ok(![first, second].includes(await create()))
    assert.deepEqual(await call('GET', '/version/x'), [404, 'M_NOT_FOUND'])
  })

  test('a version gets other auth data, but no other algorithm', async () => {
    const { call, create } = await alicesBackup(database)
    const version = await create()
    const change = (body: object) =>
      call('PUT', `/version/${version}`, { algorithm: ALGORITHM, auth_data: { b: 2 }, ...body })
    assert.deepEqual(await change({}), {})
    assert.deepEqual(await change({ version }), {})
    assert.deepEqual((await call('GET', '/version')).auth_data, { b: 2 })
    assert.deepEqual(await change({ algorithm: 'other' }), [400, 'M_INVALID_PARAM'])
    assert.deepEqual(await change({ version: '999' }), [400, 'M_INVALID_PARAM'])
  })

  test('sessions are kept and read by all, room and session', async () => {
    const { call, create } = await alicesBackup(database)
    const version = await create()
    const at = (path: string) => `/keys${path}?version=${version}`
    const rooms = {
      '!a:hs1': { sessions: { s1: session(), s2: session() } },
      '!b:hs1': { sessions: { s1: session() } },
    }
    assert.deepEqual(await call('PUT', at(''), { rooms }), { count: 3, etag: '1' })
    assert.deepEqual(await call('PUT', at('/!a:hs1/s3'), session()), { count: 4, etag: '2' })
    assert.deepEqual(await call('PUT', at('/!c:hs1'), { sessions: { s1: session() } }), { count: 5, etag: '3' })
    assert.deepEqual((await call('GET', at(''))).rooms['!b:hs1'], rooms['!b:hs1'])
    assert.deepEqual(Object.keys((await call('GET', at('/!a:hs1'))).sessions).sort(), ['s1', 's2', 's3'])
    assert.deepEqual(await call('GET', at('/!a:hs1/s3')), session())
    assert.deepEqual(await call('GET', at('/!none:hs1')), { sessions: {} })
    assert.deepEqual(await call('GET', at('/!a:hs1/none')), [404, 'M_NOT_FOUND'])
    assert.deepEqual(await call('DELETE', at('/!a:hs1/s3')), { count: 4, etag: '4' })
    assert.deepEqual(await call('DELETE', at('/!a:hs1')), { count: 2, etag: '5' })
    assert.deepEqual(await call('DELETE', at('')), { count: 0, etag: '6' })
    assert.deepEqual(await call('GET', at('')), { rooms: {} })
  })

  test('only a better session takes the place of one that is there, and only that changes the etag', async () => {
    const { call, create } = await alicesBackup(database)
    const path = `/keys/!a:hs1/s1?version=${await create()}`
    assert.equal((await call('PUT', path, session(5, 'old'))).etag, '1')
    assert.equal((await call('PUT', path, session(7, 'worse'))).etag, '1')
    assert.equal((await call('PUT', path, session(5, 'equal'))).etag, '1')
    assert.deepEqual(await call('GET', path), session(5, 'old'))
    assert.equal((await call('PUT', path, session(2, 'better'))).etag, '2')
    assert.deepEqual(await call('GET', path), session(2, 'better'))
  })

  test('sessions go into the newest backup only', async () => {
    const { call, create, servers } = await alicesBackup(database)
    const [old, current] = [await create(), await create()]
    assert.deepEqual(await call('PUT', `/keys?version=${old}`, { rooms: {} }), [403, 'M_WRONG_ROOM_KEYS_VERSION'])
    assert.deepEqual(await call('PUT', '/keys?version=999', { rooms: {} }), [404, 'M_NOT_FOUND'])
    assert.deepEqual(await call('GET', `/keys?version=${old}`), { rooms: {} })
    assert.deepEqual(await call('PUT', `/keys?version=${current}`, { rooms: { a: { sessions: { s: {} } } } }), [
      400,
      'M_BAD_JSON',
    ])
    assert.deepEqual(await call('PUT', '/keys', { rooms: {} }), [400, 'M_INVALID_PARAM'])
    const bob = await servers.hs1.register('bob')
    assert.equal((await bob.request('GET', '/room_keys/version')).status, 404)
  })

  test('many sessions at once, and names that lead others astray', async () => {
    const { call, create } = await alicesBackup(database)
    const version = await create()
    const many = Object.fromEntries(Array.from({ length: 450 }, (_, n) => [`s${n}`, session()]))
    const rooms = JSON.parse(`{"__proto__": {"sessions": ${JSON.stringify(many)}}}`)
    assert.equal((await call('PUT', `/keys?version=${version}`, { rooms })).count, 450)
    const kept = await call('GET', `/keys?version=${version}`)
    assert.deepEqual(Object.keys(kept.rooms), ['__proto__'])
    assert.equal((await call('PUT', `/keys?version=${version}`, { rooms })).etag, '1')
  })
})
