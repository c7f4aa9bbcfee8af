import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase } from '../support/databases.ts'
import * as answers from '../support/remote-answers.ts'
import type { Answer } from '../support/remote-script.ts'
import { textResponse } from '../support/responses.ts'
import {
  CACHE_OVER_MS,
  changedFor,
  devicesSeenBy,
  friends,
  hearsOf,
  queryKeys,
  refresh,
  refreshPath,
  stateOf,
  strangers,
} from './alice-and-bob.ts'

const DEVICES = { endpoint: 'devices' } as const
const { status } = answers

forEachDatabase((database) => {
  describe('scenario 37: a refresh', () => {
    test('fetches the list once, answers 202 {} and tells through /sync, though no room is shared', async () => {
      const { alice, bob, far } = await strangers(database)
      assert.deepEqual(await changedFor(alice), [])
      const { status, body } = await refresh(alice, bob)
      assert.deepEqual([status, body], [202, {}])
      assert.equal(far.gets(bob), 1)
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
      assert.equal(far.gets(bob), 1)
      assert.deepEqual(await changedFor(alice), [])
    })

    test('shows the keys that the remote has now', async () => {
      const { alice, bob } = await friends(database)
      bob.setCrossSigning()
      bob.addDevice('HIDDEN')
      bob.signDevice('HIDDEN')
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
      assert.equal((await refresh(alice, bob)).status, 202)
      const seen = await queryKeys(alice, bob)
      assert.deepEqual(seen.device_keys[bob.userId], bob.keysOf([]))
      assert.deepEqual(seen.master_keys[bob.userId], bob.identity?.masterKey)
      assert.deepEqual(seen.self_signing_keys[bob.userId], bob.identity?.selfSigningKey)
      assert.equal(seen.user_signing_keys?.[bob.userId], undefined)
    })

    test('is told to all devices of the requester even if nothing changed, to others only of a difference', async () => {
      const { alice, bob, servers, rooms } = await friends(database)
      const tablet = await alice.login('TABLET')
      const carol = await servers.hs1.register('carol')
      await rooms.share([carol, bob])
      for (const client of [alice, tablet, carol]) await client.sync()
      await refresh(alice, bob)
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.deepEqual(await changedFor(tablet), [bob.userId])
      assert.deepEqual(await changedFor(carol), [])
    })

    test('tells everybody who shares a room of a difference', async () => {
      const { alice, bob, servers, rooms } = await friends(database)
      const [carol, dave] = [await servers.hs1.register('carol'), await servers.hs1.register('dave')]
      await rooms.share([carol, bob])
      for (const client of [alice, carol, dave]) await client.sync()
      bob.addDevice('HIDDEN')
      await refresh(alice, bob)
      assert.deepEqual(await changedFor(carol), [bob.userId])
      assert.deepEqual(await changedFor(dave), [])
    })

    test('younger than the cache answers for another, unless a doubt came up since', async () => {
      const { alice, bob, far, advance, settle } = await friends(database)
      await refresh(alice, bob)
      await alice.sync()
      bob.addDevice('HIDDEN')
      await advance(29_000)
      assert.equal((await refresh(alice, bob)).status, 202)
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.equal(far.gets(bob), 2)
      // The update of HIDDEN was not sent: this one leaves a gap.
      far.answerNext(DEVICES, status(503))
      await far.sendEdus('hs1', [bob.addDevice('NEW')])
      await settle()
      assert.equal((await refresh(alice, bob)).status, 202)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['HIDDEN', 'NEW', 'PHONE'])
    })

    test('goes on when the wait is over, and joins a fetch in flight', async () => {
      const { alice, bob, far, advance, settle } = await friends(database)
      const held = far.hang(DEVICES)
      bob.addDevice('HIDDEN')
      const first = refresh(alice, bob)
      await settle()
      const second = refresh(alice, bob)
      await advance(4_999)
      assert.equal((await stateOf(alice, bob)).state, 'pending')
      await advance(1)
      assert.deepEqual([(await first).status, (await first).body], [202, {}])
      assert.equal((await second).status, 202)
      assert.equal(far.gets(bob), 2)
      assert.deepEqual(await changedFor(alice), [])
      held.release()
      await settle()
      assert.deepEqual(await changedFor(alice), [bob.userId])
      assert.equal(far.gets(bob), 2)
    })

    test('without a cache asks every time, and a query too', async () => {
      const { alice, bob, far } = await strangers(database, { deviceLists: { refreshCache: 0 } })
      for (let i = 0; i < 3; i++) assert.equal((await refresh(alice, bob)).status, 202)
      assert.equal(far.gets(bob), 3)
      const seen = await queryKeys(alice, bob, 1_000)
      assert.deepEqual([seen.device_keys[bob.userId], seen.failures], [bob.keysOf([]), {}])
      assert.equal(far.gets(bob), 4)
    })

    test('is served on every route that the proposal has had', async () => {
      const { alice, bob, advance } = await strangers(database)
      const user = encodeURIComponent(bob.userId)
      for (const [method, path] of [
        ['GET', `/_matrix/unstable/org.matrix.mscXXXX/user/${user}/devices`],
        ['GET', `/_matrix/client/r0/user/${user}/devices`],
        ['GET', `/_matrix/client/v3/user/${user}/devices`],
        ['GET', `/_matrix/unstable/org.matrix.msc2638/user/${user}/devices`],
        ['POST', `/_matrix/client/unstable/org.matrix.msc2638/user/${user}/devices/refresh`],
        ['POST', `/_matrix/client/r0/user/${user}/devices/refresh`],
        ['POST', `/_matrix/client/v3/user/${user}/devices/refresh`],
      ] as const) {
        const answer = await alice.request(method, path)
        assert.deepEqual([answer.status, answer.body], [202, {}], path)
        assert.deepEqual(await changedFor(alice), [bob.userId], path)
        await advance(CACHE_OVER_MS)
      }
      const { body } = await alice.request('GET', '/_matrix/client/versions')
      assert.equal(body.unstable_features['org.matrix.msc2638'], true)
      assert.equal(body.unstable_features['org.matrix.mscXXXX'], true)
    })

    test('ignores whatever body comes with it', async () => {
      const { alice, bob } = await strangers(database)
      for (const body of [undefined, {}, '{"garbage', '[]', 'x'.repeat(1000)]) {
        assert.equal((await alice.request('POST', refreshPath(bob), body)).status, 202)
      }
    })

    test('of a local user asks nobody, and is told through /sync', async () => {
      const { alice, servers, network } = await strangers(database)
      const carol = await servers.hs1.register('carol')
      await alice.sync()
      const answer = await refresh(alice, carol)
      assert.deepEqual([answer.status, answer.body], [202, {}])
      assert.deepEqual(await changedFor(alice), [carol.userId])
      assert.equal(network.requests().length, 0)
      const unknown = await refresh(alice, '@nobody:hs1')
      assert.deepEqual([unknown.status, unknown.body.errcode], [404, 'M_NOT_FOUND'])
    })
  })

  describe('scenario 38: a refresh that fails', () => {
    test('gets the error, and the news without a second call', async () => {
      const { alice, bob, far, until } = await friends(database)
      bob.addDevice('HIDDEN')
      far.answerNext(DEVICES, status(503), 2)
      const answer = await refresh(alice, bob)
      assert.equal(answer.status, 502)
      assert.equal(answer.body.errcode, 'M_UNKNOWN')
      assert.equal(answer.body['org.matrix.msc2638.remote_status'], 503)
      assert.equal(answer.body['org.matrix.msc2638.retry_scheduled'], true)
      assert.ok(answer.body.retry_after_ms > 0 && answer.body.retry_after_ms <= 20_000, answer.body.retry_after_ms)
      assert.deepEqual(await changedFor(alice), [])
      const state = await stateOf(alice, bob)
      assert.equal(state.state, 'failing')
      assert.equal(state.devices, 1)
      await until(hearsOf(alice, bob), 30_000)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['HIDDEN', 'PHONE'])
      assert.equal((await stateOf(alice, bob)).state, 'fresh')
      assert.equal(far.gets(bob), 4)
    })

    test('is retried after a restart, and without a shared room', async () => {
      const { alice, bob, far, servers, network, until } = await strangers(database)
      network.partition(['hs1'], [far.serverName])
      assert.equal((await refresh(alice, bob)).status, 502)
      await servers.hs1.kill()
      network.heal()
      await servers.hs1.start()
      await until(hearsOf(alice, bob), 30_000)
      assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
    })

    test('is retried at once when the remote is heard from', async () => {
      const { alice, bob, far, network, settle, advance } = await friends(database)
      bob.addDevice('HIDDEN')
      network.partition(['hs1'], [far.serverName])
      assert.equal((await refresh(alice, bob)).status, 502)
      await advance(600_000)
      network.heal()
      const before = far.gets(bob)
      await far.sendEdus('hs1', [])
      await settle()
      assert.equal(far.gets(bob), before + 1)
      assert.deepEqual(await changedFor(alice), [bob.userId])
    })
  })

  describe('scenario 39: what a remote answers, relayed', () => {
    const fixed = 'The device list could not be fetched from the remote server'
    const refusals: [string, Answer, { status: number; errcode: string; error?: string; remote?: number }][] = [
      [
        '403',
        status(403, { errcode: 'M_FORBIDDEN', error: 'go away' }),
        { status: 403, errcode: 'M_FORBIDDEN', error: 'far.example: go away', remote: 403 },
      ],
      [
        '403 of its own',
        status(403, { errcode: 'ORG.EXAMPLE_NO' }),
        { status: 403, errcode: 'ORG.EXAMPLE_NO', error: 'far.example: scripted', remote: 403 },
      ],
      [
        '403 that would log a client out',
        status(403, { errcode: 'M_UNKNOWN_TOKEN' }),
        { status: 403, errcode: 'M_FORBIDDEN', remote: 403 },
      ],
      [
        '404 M_NOT_FOUND',
        status(404, { errcode: 'M_NOT_FOUND', error: 'who?' }),
        { status: 404, errcode: 'M_NOT_FOUND', error: 'far.example: who?', remote: 404 },
      ],
      ['404 that is a page', answers.html(404), { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 404 }],
      [
        '404 M_UNRECOGNIZED',
        status(404, { errcode: 'M_UNRECOGNIZED' }),
        { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 404 },
      ],
      ['400', status(400), { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 400 }],
      [
        '401 M_UNKNOWN_TOKEN',
        status(401, { errcode: 'M_UNKNOWN_TOKEN' }),
        { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 401 },
      ],
      [
        'a redirect',
        answers.redirect('https://elsewhere.example/'),
        { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 301 },
      ],
      ['500', status(500), { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 500 }],
      ['503', status(503), { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 503 }],
      ['what is not JSON', answers.garbage, { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 200 }],
      [
        'JSON that nests without end',
        () => textResponse(200, `${'['.repeat(9999)}${']'.repeat(9999)}`, {}),
        { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 200 },
      ],
      [
        'the list of somebody else',
        answers.wrongUser,
        { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 200 },
      ],
      [
        'a list without stream_id',
        answers.noStreamId,
        { status: 502, errcode: 'M_UNKNOWN', error: fixed, remote: 200 },
      ],
    ]
    for (const [what, answer, expected] of refusals) {
      test(`${what}`, async () => {
        const { alice, bob, far } = await friends(database)
        far.answerAlways(DEVICES, answer)
        const { status, body, headers } = await refresh(alice, bob)
        assert.deepEqual([status, body.errcode], [expected.status, expected.errcode])
        if (expected.error !== undefined) assert.equal(body.error, expected.error)
        assert.equal(body['org.matrix.msc2638.remote_status'], expected.remote)
        assert.equal(body['org.matrix.msc2638.retry_scheduled'], true)
        assert.ok(Number.isInteger(body.retry_after_ms) && body.retry_after_ms > 0)
        assert.equal(headers['retry-after'], undefined)
        assert.deepEqual(await changedFor(alice), [])
        assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
      })
    }

    test('a text of the remote is cut and cleaned', async () => {
      const { alice, bob, far } = await friends(database)
      far.answerNext(DEVICES, status(403, { errcode: 'M_FORBIDDEN', error: `\u202eevil\u0007\n${'é'.repeat(500)}` }))
      const { body } = await refresh(alice, bob)
      assert.equal(body.error, `far.example: evil${'é'.repeat(196)}`)
    })

    for (const [what, options, waitMs] of [
      ['by the header in seconds', { retryAfter: 7 }, 7_000],
      ['by the body', { retryAfterMs: 9_500 }, 9_500],
      ['by the larger of both', { retryAfter: 3, retryAfterMs: 8_000 }, 8_000],
      ['by a date', { retryAfter: 'date' }, 12_000],
      ['for longer than a day', { retryAfter: 10_000_000 }, 24 * 3_600_000],
    ] as const) {
      test(`429 that asks to wait ${what}`, async () => {
        const { alice, bob, far, clock, advance, until } = await friends(database)
        // A date knows whole seconds only.
        await advance(1_000 - (clock.now() % 1_000))
        const date = new Date(clock.now() + 12_000).toUTCString()
        const retryAfter = 'retryAfter' in options && options.retryAfter === 'date' ? { retryAfter: date } : {}
        far.answerNext(DEVICES, status(429, { ...options, ...retryAfter }))
        bob.addDevice('HIDDEN')
        const { status: code, body, headers } = await refresh(alice, bob)
        assert.deepEqual([code, body.errcode], [429, 'M_LIMIT_EXCEEDED'])
        assert.equal(body.retry_after_ms, waitMs)
        assert.equal(headers['retry-after'], String(Math.ceil(waitMs / 1000)))
        assert.equal(body['org.matrix.msc2638.remote_status'], 429)
        // Neither a retry, nor a person, nor another user of that server gets through before.
        const carol = far.addUser('carol')
        await advance(waitMs - 1_000)
        assert.equal((await refresh(alice, bob)).status, 429)
        assert.equal((await refresh(alice, carol)).status, 429)
        assert.deepEqual([far.gets(bob), far.gets(carol)], [2, 0])
        await until(hearsOf(alice, bob), 5_000)
        assert.equal(far.gets(bob), 3)
      })
    }

    test('nobody answers: 502; a name that leads nowhere: the same answer', async () => {
      const { alice, bob, far, network } = await friends(database)
      network.unhost(far.serverName)
      const down = await refresh(alice, bob)
      const nowhere = await refresh(alice, '@x:nowhere.example')
      const inside = await refresh(alice, '@x:127.0.0.1')
      for (const { status, body } of [down, nowhere, inside]) {
        assert.deepEqual([status, body.errcode, body.error], [502, 'M_UNKNOWN', fixed])
        assert.equal('org.matrix.msc2638.remote_status' in body, false)
      }
    })

    test('a time-out that is shorter than the wait: 504', async () => {
      const { alice, bob, far, advance } = await friends(database, { deviceLists: { fetchTimeout: 3_000 } })
      far.hang(DEVICES)
      const answer = refresh(alice, bob)
      await advance(3_000)
      const { status, body } = await answer
      assert.deepEqual([status, body.errcode], [504, 'M_UNKNOWN'])
      assert.equal(body['org.matrix.msc2638.retry_scheduled'], true)
    })

    test('while the destination is backed off: one try at once, then the last error without a request', async () => {
      const { alice, bob, far, advance } = await friends(database)
      far.answerAlways(DEVICES, status(503))
      assert.equal((await refresh(alice, bob)).status, 502)
      // The worker's own tries grow rarer.
      await advance(120_000)
      const carol = far.addUser('carol')
      const before = far.gets(bob)
      const [first, second, third] = [await refresh(alice, bob), await refresh(alice, bob), await refresh(alice, carol)]
      assert.deepEqual([first.status, second.status, third.status], [502, 502, 502])
      assert.equal(second.body['org.matrix.msc2638.remote_status'], 503)
      assert.ok(second.body.retry_after_ms > 0)
      assert.deepEqual([far.gets(bob), far.gets(carol)], [before + 1, 0])
    })

    test('who asks, and for what', async () => {
      const { alice, bob, servers, far } = await friends(database, { federationDeny: ['*.evil.example'] })
      const ask = async (token: string | undefined, user: string) => {
        const path = refreshPath(user)
        const answer = await servers.hs1.ask({ method: 'POST', path, ...(token ? { token } : {}) })
        return [answer.status, answer.body.errcode]
      }
      assert.deepEqual(await ask(undefined, bob.userId), [401, 'M_MISSING_TOKEN'])
      assert.deepEqual(await ask('wrong', bob.userId), [401, 'M_UNKNOWN_TOKEN'])
      for (const user of [
        'bob',
        '@bob',
        '#bob:far.example',
        '@bob:far.example:x',
        '@bob:-_-',
        `@${'b'.repeat(255)}:far.example`,
      ]) {
        assert.deepEqual(await ask(alice.accessToken, user), [400, 'M_INVALID_PARAM'], user)
      }
      assert.deepEqual(await ask(alice.accessToken, '@x:deep.evil.example'), [403, 'M_FORBIDDEN'])
      assert.equal(far.gets(bob), 1)
    })
  })

  describe('scenario 40: many refreshes', () => {
    const limited = { rateLimits: true } as const

    test('twenty in a second: one request, then 429', async () => {
      const { alice, bob, far } = await friends(database, limited)
      const all = await Promise.all(Array.from({ length: 20 }, () => refresh(alice, bob)))
      assert.equal(all.filter(({ status }) => status === 202).length, 5)
      const refused = all.filter(({ status }) => status === 429)
      assert.equal(refused.length, 15)
      for (const { body, headers } of refused) {
        assert.equal(body.errcode, 'M_LIMIT_EXCEEDED')
        assert.ok(body.retry_after_ms > 29_000 && body.retry_after_ms <= 30_000, String(body.retry_after_ms))
        assert.equal(headers['retry-after'], '30')
      }
      assert.equal(far.gets(bob), 2)
    })

    test('a hundred users want one list: one request, and all are told', async () => {
      const { bob, far, servers, settle } = await strangers(database)
      const held = far.hang(DEVICES)
      const users = await Promise.all(Array.from({ length: 100 }, (_, n) => servers.hs1.register(`user${n}`)))
      for (const user of users) await user.sync()
      const asked = users.map((user) => refresh(user, bob))
      await settle()
      held.release()
      assert.deepEqual(new Set((await Promise.all(asked)).map(({ status }) => status)), new Set([202]))
      assert.equal(far.gets(bob), 1)
      for (const user of users) assert.deepEqual(await changedFor(user), [bob.userId])
    })

    test('one requester: thirty a minute, whomever they are for', async () => {
      const { alice, far, advance } = await strangers(database, limited)
      const others = Array.from({ length: 31 }, (_, n) => far.addUser(`user${n}`))
      const statuses = []
      for (const user of others) statuses.push((await refresh(alice, user)).status)
      assert.deepEqual(statuses, [...Array(30).fill(202), 429])
      await advance(60_000)
      assert.equal((await refresh(alice, others[30]!)).status, 202)
    })

    test('one destination: sixty requests a minute, from all requesters together', async () => {
      const { far, servers } = await strangers(database, limited)
      const users = await Promise.all(['u1', 'u2', 'u3'].map((name) => servers.hs1.register(name)))
      const statuses = []
      for (const [n, user] of users.entries()) {
        for (let i = 0; i < 25; i++) statuses.push((await refresh(user, far.addUser(`r${n}-${i}`))).status)
      }
      assert.deepEqual(statuses, [...Array(60).fill(202), ...Array(15).fill(429)])
    })

    test('/keys/query for strangers counts in the same buckets and uses the same cache', async () => {
      const { alice, bob, far } = await strangers(database, limited)
      assert.equal((await refresh(alice, bob)).status, 202)
      for (let i = 0; i < 10; i++) assert.deepEqual(await devicesSeenBy(alice, bob), ['PHONE'])
      assert.equal(far.gets(bob), 1)
      const others = Array.from({ length: 40 }, (_, n) => far.addUser(`user${n}`))
      const device_keys = Object.fromEntries(others.map(({ userId }) => [userId, []]))
      await alice.request('POST', '/keys/query', { device_keys, timeout: 1_000 })
      const asked = others.filter((user) => far.gets(user) > 0).length
      assert.ok(asked > 0 && asked <= 30, String(asked))
      assert.equal((await refresh(alice, others[39]!)).status, 429)
    })
  })

  describe('the state of a list', () => {
    const untracked = {
      state: 'untracked',
      synced_at: null,
      stream_id: null,
      devices: null,
      last_error: null,
      attempts: null,
      next_attempt_at: null,
    }

    test('is shown to who shares a room, and to who asked within a day', async () => {
      const { alice, bob, clock, advance } = await strangers(database)
      assert.deepEqual(await stateOf(alice, bob), untracked)
      const syncedAt = clock.now()
      await refresh(alice, bob)
      assert.deepEqual(await stateOf(alice, bob), {
        state: 'fresh',
        synced_at: syncedAt,
        stream_id: 1,
        devices: 1,
        last_error: null,
        attempts: 0,
        next_attempt_at: null,
      })
      await advance(25 * 3_600_000)
      assert.deepEqual(await stateOf(alice, bob), untracked)
    })

    test('is not shown to others, so that it does not tell whom somebody talks to', async () => {
      const { bob, servers } = await friends(database)
      const carol = await servers.hs1.register('carol')
      assert.deepEqual(await stateOf(carol, bob), untracked)
      assert.deepEqual(await stateOf(carol, '@never.heard.of:far.example'), untracked)
    })

    test('tells when the next try is due', async () => {
      const { alice, bob, far, clock } = await friends(database)
      far.answerNext(DEVICES, status(503))
      const { body } = await refresh(alice, bob)
      const state = await stateOf(alice, bob)
      assert.equal(state.state, 'failing')
      assert.equal(state.attempts, 1)
      assert.equal(state.next_attempt_at, clock.now() + body.retry_after_ms)
      assert.equal(typeof state.last_error, 'string')
    })
  })
})
