import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { onSqlite } from '../support/databases.ts'
import { testNetwork } from '../support/test-network.ts'

// Shaped garbage for every route: what is refused is refused by the specification's rules, and nothing breaks.

const RUNS = 40

/** What clients and servers say in earnest, so that garbage gets past the first check now and then. */
const NAMES = [
  ...[
    'type',
    'identifier',
    'user',
    'password',
    'token',
    'auth',
    'session',
    'device_id',
    'displayname',
    'refresh_token',
  ],
  ...['device_keys', 'one_time_keys', 'fallback_keys', 'keys', 'signatures', 'algorithms', 'user_id', 'unsigned'],
  ...['master_key', 'self_signing_key', 'user_signing_key', 'usage', 'messages', 'devices', 'rooms', 'sessions'],
  ...['edus', 'pdus', 'edu_type', 'content', 'origin', 'sender', 'message_id', 'stream_id', 'prev_id', 'deleted'],
  ...['server_keys', 'minimum_valid_until_ts', 'algorithm', 'auth_data', 'version', 'filter', 'conditions', 'actions'],
  ...[
    '@alice:hs1',
    '@bob:far.example',
    'DEVICE',
    '*',
    'ed25519:DEVICE',
    'signed_curve25519:AAAA',
    '__proto__',
    'constructor',
  ],
]
const VALUES = [
  ...['@alice:hs1', '@bob:far.example', '@:', 'm.login.password', 'm.login.dummy', 'm.id.user', 'm.device_list_update'],
  ...['m.direct_to_device', 'm.signing_key_update', 'signed_curve25519', '', '\u0000', '\ud800', '💥', 'a'.repeat(300)],
]

const scalar = fc.oneof(
  fc.constantFrom(...VALUES),
  fc.string({ maxLength: 8 }),
  fc.integer(),
  fc.constantFrom(0, -1, 0.5, 1e300, Number.MAX_SAFE_INTEGER + 1, null, true, false),
)
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...NAMES), tie('value'), { maxKeys: 5 }),
  ),
}))
const body = fc.oneof(
  { weight: 8, arbitrary: fc.dictionary(fc.constantFrom(...NAMES), value, { maxKeys: 6 }) },
  { weight: 1, arbitrary: value },
)
const segment = fc.oneof(fc.constantFrom(...VALUES, 'DEVICE', 'global', 'override', '1'), fc.string({ maxLength: 12 }))
/** Not `timeout`: time stands still here. */
const query = fc.dictionary(
  fc.constantFrom(
    'since',
    'filter',
    'full_state',
    'from',
    'to',
    'version',
    'username',
    'token',
    'user_id',
    'kind',
    'before',
  ),
  segment,
  { maxKeys: 3 },
)

/** A path with its parameters filled in. */
function pathOf(pattern: string, segments: readonly string[], search: Record<string, string>): string {
  let next = 0
  const path = pattern.replace(/:[A-Za-z]+/g, () => encodeURIComponent((segments[next++] ?? 'x').toWellFormed()) || 'x')
  const params = new URLSearchParams(
    Object.entries(search).map(([name, text]) => [name, text.toWellFormed()] as [string, string]),
  )
  return `${path}?${params}`
}

onSqlite((database) => {
  test('no route breaks, whatever it is given', async (t) => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const { hs1 } = servers
    const far = remote('far.example')
    far.addUser('bob').addDevice('PHONE')
    const names = { count: 0 }
    let token = ''
    // Garbage that happens to log out or to delete the device ends a session: the next one begins.
    const loggedIn = async () => {
      const known = await hs1.ask({ method: 'GET', path: '/_matrix/client/v3/account/whoami', token })
      if (known.status !== 200) token = (await hs1.register(`user${names.count++}`)).accessToken
      return token
    }
    const isFine = (status: number, answer: unknown) => {
      assert.notEqual(status, 500)
      if (status >= 400 && status !== 401) assert.equal(typeof (answer as { errcode: unknown }).errcode, 'string')
      return true
    }
    const routes = hs1.homeserver.app.allRoutes().filter(({ method }) => method !== 'HEAD')
    assert.ok(routes.length > 80, `${routes.length}`)
    for (const { method, pattern } of routes) {
      await t.test(`${method} ${pattern}`, async () => {
        const property = fc.asyncProperty(
          fc.array(segment, { maxLength: 4 }),
          query,
          body,
          async (segments, search, content) => {
            const path = pathOf(pattern, segments, search)
            const sent = method === 'GET' ? {} : { body: JSON.stringify(content) }
            if (pattern.startsWith('/_matrix/federation/')) {
              const signed = sent.body === undefined ? {} : { body: JSON.parse(sent.body) }
              const answer = await far.request('hs1', { method: method as 'GET', path, ...signed })
              return isFine(answer.status, answer.body)
            }
            const answer = await hs1.ask({ method, path, ...sent, token: await loggedIn() })
            return isFine(answer.status, answer.body)
          },
        )
        await fc.assert(property, { numRuns: RUNS, seed: 1 })
      })
    }
  })

  test('no text for JSON breaks a route either', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const { ask, register } = servers.hs1
    const { accessToken: token } = await register('alice')
    const property = fc.asyncProperty(fc.string({ maxLength: 40, unit: 'binary' }), async (text) => {
      const { status, body: answer } = await ask({
        method: 'POST',
        path: '/_matrix/client/v3/keys/query',
        body: text,
        token,
      })
      assert.ok(status === 400 && ['M_NOT_JSON', 'M_BAD_JSON'].includes(answer.errcode), `${status} ${answer.errcode}`)
    })
    await fc.assert(property, { numRuns: 200, seed: 1 })
  })
})
