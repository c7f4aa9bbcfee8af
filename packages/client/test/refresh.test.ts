import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MatrixClient } from 'matrix-js-sdk'
import { errorResponse, textResponse } from '../../homeserver/test/support/responses.ts'
import { getDeviceListState, type RefreshFailure, type RefreshOutcome, refreshDeviceList } from '../src/index.ts'
import { prepareGround, startHomeserver, startRemote, startUser } from './support/servers.ts'

function failed(outcome: RefreshOutcome): RefreshFailure {
  assert.equal(outcome.outcome, 'failed')
  return outcome as RefreshFailure
}

test('a list arrives: the sync has it, and with it come the devices', async (t) => {
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const bob = remote.addUser('bob')
  bob.addDevice('PHONE')
  const server = await startHomeserver(t, ground)
  const { client } = await startUser(t, server, 'alice')

  const first = await refreshDeviceList(client, bob.userId)
  assert.equal(first.outcome, 'arrived')
  assert.deepEqual([...(first.outcome === 'arrived' ? first.devices.keys() : [])], ['PHONE'])
  assert.equal((await getDeviceListState(client, bob.userId))?.state, 'fresh')

  bob.addDevice('TABLET')
  const second = await refreshDeviceList(client, bob.userId)
  assert.deepEqual([...(second.outcome === 'arrived' ? second.devices.keys() : [])].sort(), ['PHONE', 'TABLET'])
})

test('every way in which the other server may fail is told apart', async (t) => {
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const server = await startHomeserver(t, ground, {
    deviceLists: { refreshWait: 400, fetchTimeout: 300, refreshRetryInterval: 0 },
  })
  const { client } = await startUser(t, server, 'alice')
  const answers = {
    refused: [errorResponse(403, 'M_FORBIDDEN', 'not for you'), errorResponse(404, 'M_NOT_FOUND')],
    unreachable: [
      errorResponse(500, 'M_UNKNOWN'),
      textResponse(200, 'not json'),
      errorResponse(401, 'M_UNKNOWN_TOKEN'),
    ],
  } as const
  const outcomes: RefreshFailure[] = []
  for (const [reason, responses] of Object.entries(answers)) {
    for (const [index, response] of responses.entries()) {
      const user = remote.addUser(`${reason}${index}`)
      remote.answerAlways({ endpoint: 'devices', user: user.userId }, () => response)
      const failure = failed(await refreshDeviceList(client, user.userId))
      assert.equal(failure.reason, reason)
      outcomes.push(failure)
    }
  }
  assert.deepEqual(
    outcomes.map(({ httpStatus, remoteStatus }) => [httpStatus, remoteStatus]),
    [
      [403, 403],
      [404, 404],
      [502, 500],
      [502, 200],
      [502, 401],
    ],
  )
  for (const { retryScheduled, retryAfterMs } of outcomes) assert.ok(retryScheduled && retryAfterMs! > 0)
  assert.match(outcomes[0]!.error, /: not for you$/)
})

test('a time-out of the other server, and its wish to wait', async (t) => {
  const ground = await prepareGround(t)
  const [slow, busy] = [await startRemote(t, ground), await startRemote(t, ground)]
  const server = await startHomeserver(t, ground, { deviceLists: { refreshWait: 2_000, fetchTimeout: 100 } })
  const { client } = await startUser(t, server, 'alice')
  const [bob, carol] = [slow.addUser('bob'), busy.addUser('carol')]

  const held = slow.hang({ endpoint: 'devices' })
  const timeout = failed(await refreshDeviceList(client, bob.userId))
  held.release()
  assert.deepEqual([timeout.reason, timeout.httpStatus, timeout.remoteStatus], ['timeout', 504, null])

  const limited = errorResponse(429, 'M_LIMIT_EXCEEDED')
  busy.answerAlways({ endpoint: 'devices' }, () => ({
    ...limited,
    headers: { ...limited.headers, 'retry-after': '60' },
  }))
  const failure = failed(await refreshDeviceList(client, carol.userId))
  assert.deepEqual([failure.reason, failure.httpStatus, failure.remoteStatus], ['remoteLimited', 429, 429])
  assert.ok(failure.retryAfterMs! > 50_000 && failure.retryAfterMs! <= 60_000)
})

test('what the own homeserver has against a request', async (t) => {
  const ground = await prepareGround(t)
  const server = await startHomeserver(t, ground, {
    rateLimits: true,
    federationDeny: ['denied.example'],
    deviceLists: { refreshPerUser: 2 },
  })
  const { client } = await startUser(t, server, 'alice')
  const reasonOf = async (userId: string) => failed(await refreshDeviceList(client, userId)).reason

  assert.equal(await reasonOf(`@nobody:${server.settings.serverName}`), 'unknownUser')
  assert.equal(await reasonOf('nobody'), 'invalidUserId')
  assert.equal(await reasonOf('@bob:denied.example'), 'forbidden')

  const me = client.getSafeUserId()
  await refreshDeviceList(client, me)
  await refreshDeviceList(client, me)
  const limited = failed(await refreshDeviceList(client, me))
  assert.equal(limited.reason, 'limited')
  assert.ok(limited.retryAfterMs! > 0 && !limited.retryScheduled)
  // Whoever would wait longer than they want to is told at once.
  assert.equal(failed(await refreshDeviceList(client, me, { keepTrying: true, timeoutMs: 1_000 })).reason, 'limited')

  client.http.opts.accessToken = 'nonsense'
  assert.equal(await reasonOf(me), 'unauthenticated')
})

test('a list that does not come within the patience of the caller is pending, and a caller may give up', async (t) => {
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const bob = remote.addUser('bob')
  const server = await startHomeserver(t, ground, { deviceLists: { refreshWait: 50 } })
  const { client } = await startUser(t, server, 'alice')
  const held = remote.hang({ endpoint: 'devices' })

  assert.deepEqual(await refreshDeviceList(client, bob.userId, { timeoutMs: 400 }), { outcome: 'pending' })
  assert.equal((await getDeviceListState(client, bob.userId))?.state, 'pending')

  const giveUp = new AbortController()
  const asked = refreshDeviceList(client, bob.userId, { abortSignal: giveUp.signal })
  giveUp.abort(new Error('never mind'))
  await assert.rejects(asked, /never mind/)
  await assert.rejects(refreshDeviceList(client, bob.userId, { abortSignal: giveUp.signal }), /never mind/)

  const patient = refreshDeviceList(client, bob.userId)
  held.release()
  assert.equal((await patient).outcome, 'arrived')
})

test("whoever keeps trying is told when the homeserver's own retry brings the list", async (t) => {
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const bob = remote.addUser('bob')
  bob.addDevice('PHONE')
  remote.answerNext({ endpoint: 'devices' }, () => errorResponse(500, 'M_UNKNOWN'))
  const server = await startHomeserver(t, ground, { deviceLists: { retryBase: 20 } })
  const { client } = await startUser(t, server, 'alice')

  const failures: string[] = []
  const outcome = await refreshDeviceList(client, bob.userId, {
    keepTrying: true,
    onFailure: ({ reason }) => failures.push(reason),
  })
  assert.equal(outcome.outcome, 'arrived')
  assert.deepEqual(failures, ['unreachable'])
})

test('older routes serve where the documented one is missing, and none is tried where none is announced', async (t) => {
  const ground = await prepareGround(t)
  const server = await startHomeserver(t, ground)
  const { client } = await startUser(t, server, 'alice')
  const me = client.getSafeUserId()
  const asked: string[] = []
  const unstable_features: Record<string, boolean> = {}
  const missing: RegExp[] = []
  interceptRequests(client, (method, url) => {
    if (url.pathname.endsWith('/versions')) return { status: 200, body: { versions: ['v1.11'], unstable_features } }
    if (!url.pathname.includes('/devices')) return undefined
    asked.push(`${method} ${url.pathname.replace(/@.*?\//, '…/').replace(/%40.*?\//, '…/')}`)
    if (missing.some((pattern) => pattern.test(asked.at(-1)!)))
      return { status: 404, body: { errcode: 'M_UNRECOGNIZED', error: '' } }
    return undefined
  })

  forgetVersions(client)
  assert.equal(failed(await refreshDeviceList(client, me)).reason, 'unsupported')
  assert.deepEqual(asked, [])

  unstable_features['org.matrix.mscXXXX'] = true
  forgetVersions(client)
  assert.equal((await refreshDeviceList(client, me)).outcome, 'arrived')
  assert.equal(asked[0], 'GET /_matrix/unstable/org.matrix.mscXXXX/user/…/devices')

  asked.length = 0
  unstable_features['org.matrix.msc2638'] = true
  missing.push(/refresh$/)
  forgetVersions(client)
  assert.equal((await refreshDeviceList(client, me)).outcome, 'arrived')
  assert.deepEqual(asked.slice(0, 4), [
    'POST /_matrix/client/unstable/org.matrix.msc2638/user/…/devices/refresh',
    'POST /_matrix/client/v3/user/…/devices/refresh',
    'POST /_matrix/client/r0/user/…/devices/refresh',
    'GET /_matrix/unstable/org.matrix.msc2638/user/…/devices',
  ])
})

type Canned = { status: number; body: object }

/** Answers a client's requests in the place of the server, where `answer` says so. */
function interceptRequests(client: MatrixClient, answer: (method: string, url: URL) => Canned | undefined): void {
  client.http.opts.fetchFn = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const canned = answer(init?.method ?? 'GET', url)
    return canned ? Response.json(canned.body, { status: canned.status }) : fetch(input, init)
  }
}

/** The SDK keeps what it has once been told. */
function forgetVersions(client: MatrixClient): void {
  Object.assign(client, { serverVersionsPromise: undefined })
}
