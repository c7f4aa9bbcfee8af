import assert from 'node:assert/strict'
import { it } from 'node:test'
import { onSqlite } from '../../test/support/databases.ts'
import { testNetwork } from '../../test/support/test-network.ts'

const LOGIN = '/_matrix/client/v3/login'

onSqlite((database) => {
  const server = async () => (await testNetwork(['hs1'], { database })).servers.hs1

  it('tells an unknown path from a wrong method', async () => {
    const { ask } = await server()
    const unknown = await ask({ method: 'GET', path: '/_matrix/client/v3/nothing/here' })
    assert.deepEqual([unknown.status, unknown.body.errcode], [404, 'M_UNRECOGNIZED'])
    const wrong = await ask({ method: 'DELETE', path: LOGIN })
    assert.deepEqual(
      [wrong.status, wrong.body.errcode, wrong.headers.allow],
      [405, 'M_UNRECOGNIZED', 'GET, HEAD, POST'],
    )
  })

  it('may be read by a web page, errors included', async () => {
    const { ask } = await server()
    for (const path of [
      '/_matrix/client/versions',
      '/_matrix/client/v3/sync',
      '/nothing',
      '/_matrix/client/v3/user/%zz/devices',
    ]) {
      const { headers } = await ask({ method: 'GET', path })
      assert.equal(headers['access-control-allow-origin'], '*', path)
    }
    const preflight = await ask({ method: 'OPTIONS', path: '/_matrix/client/v3/sync' })
    assert.equal(preflight.status, 204)
    assert.match(preflight.headers['access-control-allow-headers']!, /Authorization/)
  })

  for (const [what, body, status, errcode] of [
    ['is no JSON', '{"type":', 400, 'M_NOT_JSON'],
    ['is an array where an object belongs', '[]', 400, 'M_BAD_JSON'],
    ['is absent', undefined, 400, 'M_BAD_JSON'],
    ['nests without end', `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`, 400, 'M_BAD_JSON'],
    ['has a member called __proto__', '{"__proto__": {"type": "m.login.password"}}', 400, 'M_BAD_JSON'],
    ['is larger than a mebibyte', `{"a": "${'x'.repeat(1024 * 1024)}"}`, 413, 'M_TOO_LARGE'],
  ] as const) {
    it(`refuses a body that ${what}`, async () => {
      const { ask } = await server()
      const answer = await ask({ method: 'POST', path: LOGIN, body })
      assert.deepEqual([answer.status, answer.body.errcode], [status, errcode])
    })
  }

  it('refuses a path that cannot be decoded, or has a parameter without end', async () => {
    const { ask } = await server()
    const garbled = await ask({ method: 'GET', path: '/_matrix/client/v3/profile/%zz' })
    assert.deepEqual([garbled.status, garbled.body.errcode], [400, 'M_INVALID_PARAM'])
    const long = await ask({ method: 'GET', path: `/_matrix/client/v3/profile/${'a'.repeat(5000)}` })
    assert.deepEqual([long.status, long.body.errcode], [414, 'M_UNKNOWN'])
  })
})
