import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf, readSnapshot } from '../../src/device-lists/snapshot.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import { verifyJson, verifyKeyFrom } from '../../src/matrix/signing.ts'
import { createFakeClock } from './fake-clock.ts'
import { createLoopbackCertificate, startLoopbackRemote } from './loopback-remote.ts'
import { createMemoryNetwork } from './memory-network.ts'
import * as answers from './remote-answers.ts'
import type { Answer } from './remote-script.ts'
import { createScriptedRemote } from './scripted-remote.ts'

/** Two remotes, each of which checks what the other sends. */
function setUp() {
  const clock = createFakeClock()
  const network = createMemoryNetwork(clock)
  const problems: string[] = []
  const remote = (serverName: string) => {
    const made = createScriptedRemote({
      serverName,
      clock,
      network: network.of(serverName),
      onProblem: (problem) => problems.push(problem),
    })
    network.host(serverName, made.handle)
    return made
  }
  const [near, far] = [remote('near.example'), remote('far.example')]
  const bob = far.addUser('bob')
  const getList = (userId = bob.userId) =>
    near.request('far.example', {
      method: 'GET',
      path: `/_matrix/federation/v1/user/devices/${encodeURIComponent(userId)}`,
    })
  const post = (path: string, body: object) =>
    near.request('far.example', { method: 'POST', path: `/_matrix/federation/v1${path}`, body })
  return { clock, network, problems, near, far, bob, getList, post }
}

test('a list is valid, its keys are signed, and the stream ID counts changes', async () => {
  const { problems, bob, getList, far } = setUp()
  bob.addDevice('PHONE', { displayName: 'phone' })
  bob.addDevice('KEYLESS', { withoutKeys: true })
  bob.setCrossSigning()
  bob.signDevice('PHONE')
  const { status, body } = await getList()
  assert.equal(status, 200)
  const reading = readSnapshot(body, bob.userId as UserId)
  assert.ok(reading.ok)
  assert.deepEqual(reading.dropped, [])
  const { streamId, deviceKeys, keyless, masterKey, selfSigningKey } = reading.snapshot
  assert.deepEqual([streamId, [...deviceKeys.keys()], keyless], [3, ['PHONE'], ['KEYLESS']])

  const phone = deviceKeys.get('PHONE') as { keys: Record<string, string> }
  const check = (object: object, keyId: string, publicKey: string) =>
    verifyJson(object, bob.userId, keyId, verifyKeyFrom(publicKey)!)
  const [[masterId, master]] = Object.entries(masterKey!.keys as Record<string, string>) as [[string, string]]
  const [[selfId, self]] = Object.entries(selfSigningKey!.keys as Record<string, string>) as [[string, string]]
  assert.ok(check(phone, 'ed25519:PHONE', phone.keys['ed25519:PHONE']!), 'signed by the device')
  assert.ok(check(phone, selfId, self), 'signed by the self-signing key')
  assert.ok(check(selfSigningKey!, masterId, master), 'the self-signing key is signed by the master key')
  assert.equal(far.gets(bob), 1)
  assert.deepEqual(problems, [])
})

test('/keys/query tells the same as the list', async () => {
  const { bob, getList, post } = setUp()
  bob.addDevice('A', { displayName: 'a' })
  bob.addDevice('B')
  bob.setCrossSigning()
  const list = readSnapshot((await getList()).body, bob.userId as UserId)
  const { body } = await post('/user/keys/query', { device_keys: { [bob.userId]: [], '@nobody:far.example': [] } })
  const deviceKeys = new Map(Object.entries<Record<string, unknown>>(body.device_keys[bob.userId]))
  const [masterKey, selfSigningKey] = [body.master_keys[bob.userId], body.self_signing_keys[bob.userId]]
  assert.ok(list.ok)
  assert.equal(digestOf({ deviceKeys, masterKey, selfSigningKey }), digestOf(list.snapshot))
  assert.deepEqual(Object.keys(body.device_keys), [bob.userId])
  assert.equal(
    deviceKeys.get('A')?.unsigned && 'device_display_name' in (deviceKeys.get('A')!.unsigned as object),
    true,
  )
})

test('/keys/claim gives each one-time key once, signed by its device', async () => {
  const { bob, post } = setUp()
  bob.addDevice('A')
  const claim = async () => {
    const wanted = { A: 'signed_curve25519', GONE: 'signed_curve25519' }
    const { body } = await post('/user/keys/claim', { one_time_keys: { [bob.userId]: wanted } })
    return Object.entries<object>(body.one_time_keys[bob.userId].A)[0]!
  }
  const [[firstName, key], [secondName]] = [await claim(), await claim()]
  assert.notEqual(firstName, secondName)
  const { publicKey } = bob.devices.get('A')!.keys.signingKey
  assert.ok(verifyJson(key, bob.userId, 'ed25519:A', verifyKeyFrom(publicKey)!))
})

test('every change gives the update that follows the one before', () => {
  const { bob } = setUp()
  const updates = [
    bob.addDevice('A'),
    bob.renameDevice('A', 'laptop'),
    bob.replaceKeys('A'),
    bob.addDevice('B'),
    bob.removeDevice('A'),
  ]
  const chain = updates.map(({ content: { stream_id, prev_id, device_id, deleted } }) => [
    stream_id,
    prev_id,
    device_id,
    deleted,
  ])
  assert.deepEqual(chain, [
    [1, [], 'A', undefined],
    [2, [1], 'A', undefined],
    [3, [2], 'A', undefined],
    [4, [3], 'B', undefined],
    [5, [4], 'A', true],
  ])
  assert.notDeepEqual(updates[1]!.content.keys, updates[2]!.content.keys)
  assert.throws(() => bob.removeDevice('A'), /no device/)
})

test('EDUs arrive once, however often their transaction is sent', async () => {
  const { near, far, bob, problems } = setUp()
  const alice = near.addUser('alice')
  await near.sendEdus('far.example', [alice.addDevice('A')], 'same')
  await near.sendEdus('far.example', [alice.addDevice('B')], 'same')
  await near.sendDeviceListUpdate('far.example', { user: alice, device: 'A', streamId: 9, prevIds: [7], deleted: true })
  alice.setCrossSigning()
  await near.sendSigningKeyUpdate('far.example', alice)
  assert.deepEqual(
    far.received.map(({ origin, edu_type: type, content }) => [origin, type, content.device_id, content.stream_id]),
    [
      ['near.example', 'm.device_list_update', 'A', 1],
      ['near.example', 'm.device_list_update', 'A', 9],
      ['near.example', 'm.signing_key_update', undefined, undefined],
    ],
  )
  assert.equal(far.received[0]!.content.user_id, alice.userId)
  assert.equal(bob.streamId, 0)
  assert.deepEqual(problems, [])
})

test('a transaction that is answered with an error has not arrived', async () => {
  const { near, far } = setUp()
  const alice = near.addUser('alice')
  far.answerNext({ endpoint: 'send' }, answers.status(503))
  assert.equal((await near.sendEdus('far.example', [alice.addDevice('A')], 't')).status, 503)
  assert.equal(far.received.length, 0)
  await near.sendEdus('far.example', [alice.addDevice('B')], 't')
  assert.equal(far.received.length, 1)
})

test('what is badly signed, or not for this server, is refused and reported', async () => {
  const { near, problems, bob } = setUp()
  const path = `/_matrix/federation/v1/user/devices/${bob.userId}`
  const send = (authorization: string) => near.request('far.example', { method: 'GET', path, authorization })
  const sig = Buffer.alloc(64).toString('base64')
  for (const header of [
    'Bearer token',
    `X-Matrix origin="near.example",destination="else.example",key="ed25519:x",sig="${sig}"`,
    `X-Matrix origin="near.example",destination="far.example",key="ed25519:unknown",sig="${sig}"`,
  ]) {
    assert.equal((await send(header)).status, 401)
  }
  assert.equal(problems.length, 3)
  assert.match(problems[1]!, /destination is else.example/)
  assert.match(problems[2]!, /publishes no good key/)
})

test('a signature over another body is bad', async () => {
  const { network, near, problems } = setUp()
  network.intercept(({ path, headers }) => {
    if (path.includes('/send/')) headers.authorization = headers.authorization!.replace(/sig=".{4}/, 'sig="AAAA')
    return 'pass'
  })
  assert.equal((await near.sendEdus('far.example', [])).status, 401)
  assert.match(problems[0]!, /signature of near.example is bad/)
})

test('a transaction that breaks the rules is reported', async () => {
  const { near, problems } = setUp()
  const edu = { edu_type: 'm.typing', content: {} }
  await near.sendEdus('far.example', Array(101).fill(edu))
  const path = '/_matrix/federation/v1/send/t9'
  await near.request('far.example', { method: 'PUT', path, body: { origin: 'else.example', pdus: [], edus: [] } })
  assert.equal(problems.length, 2)
})

test('answers are scripted for the next requests, or for all', async () => {
  const { far, bob, getList } = setUp()
  const carol = far.addUser('carol')
  far.answerAlways({ endpoint: 'devices', user: bob.userId }, answers.status(404, { errcode: 'M_NOT_FOUND' }))
  far.answerNext({ user: bob.userId }, answers.status(429, { retryAfter: 7, retryAfterMs: 9_000 }))
  far.answerNext({ endpoint: 'devices' }, answers.html(502), 2)
  const statuses = []
  for (const user of [bob, bob, carol, bob, carol]) statuses.push((await getList(user.userId)).status)
  assert.deepEqual(statuses, [429, 502, 502, 404, 200])
  far.answerNormally()
  assert.equal((await getList()).status, 200)
  assert.deepEqual([far.gets(bob), far.gets(carol)], [4, 2])
})

test('a wait is told in the header and in the body', async () => {
  const { far, getList } = setUp()
  far.answerNext({}, answers.status(429, { retryAfter: 7, retryAfterMs: 9_000 }))
  const { body, headers } = await getList()
  assert.equal(headers['retry-after'], '7')
  assert.deepEqual(body, { errcode: 'M_LIMIT_EXCEEDED', error: 'scripted', retry_after_ms: 9_000 })
})

test('every wrong list is refused by who reads it', async () => {
  const { far, bob, getList } = setUp()
  bob.addDevice('A')
  const wrong: Record<string, Answer> = {
    garbage: answers.garbage,
    'wrong user': answers.wrongUser,
    'no stream ID': answers.noStreamId,
    'duplicate device': answers.duplicateDevice,
    'too many devices': answers.manyDevices(100_000),
    edited: answers.edited((body) => {
      body.devices = 'none'
    }),
  }
  for (const [name, answer] of Object.entries(wrong)) {
    far.answerNext({ endpoint: 'devices' }, answer)
    const { status, body } = await getList()
    assert.deepEqual([status, readSnapshot(body, bob.userId as UserId).ok], [200, false], name)
  }
  far.answerNext({}, answers.tooLarge(1_000_000))
  assert.ok((await getList()).status === 200, 'white space is still JSON')
  far.answerNext({}, answers.redirect('https://elsewhere.example/'))
  assert.equal((await getList()).headers.location, 'https://elsewhere.example/')
})

test('a hanging answer tells what was true when it was asked', async () => {
  const { clock, far, bob, getList } = setUp()
  bob.addDevice('A')
  const hanging = far.hang({ endpoint: 'devices' })
  const early = getList()
  await clock.advance(1)
  bob.addDevice('B')
  hanging.release()
  assert.equal((await early).body.stream_id, 1)
  assert.equal((await getList()).body.stream_id, 2)
})

test('a dripping answer takes its time', async () => {
  const { clock, far, getList } = setUp()
  far.answerNext({}, answers.drip(2_000))
  const answer = assert.rejects(getList(), { failure: 'timeout' })
  await clock.advance(60_000)
  await answer
})

test('a rebuilt server has another key, which others learn, and begins its streams again', async () => {
  const { near, far, bob, getList, problems } = setUp()
  bob.addDevice('A')
  bob.streamId = 900
  far.rebuild()
  assert.equal((await getList()).body.stream_id, 1)
  await far.sendEdus('near.example', [])
  far.rebuild()
  assert.equal((await far.sendEdus('near.example', [])).status, 200)
  assert.equal(near.received.length, 0)
  assert.deepEqual(problems, [])
})

test('unknown paths are unrecognized', async () => {
  const { near } = setUp()
  const { status, body } = await near.request('far.example', { method: 'GET', path: '/_matrix/federation/v1/nothing' })
  assert.deepEqual([status, body.errcode], [404, 'M_UNRECOGNIZED'])
})

test('the same on real sockets', async (t) => {
  const certificate = await createLoopbackCertificate()
  const [near, far] = [await startLoopbackRemote(certificate), await startLoopbackRemote(certificate)]
  t.after(() => Promise.all([near.close(), far.close()]))
  const bob = far.addUser('bob')
  bob.addDevice('A')
  const path = `/_matrix/federation/v1/user/devices/${encodeURIComponent(bob.userId)}`
  const get = () => near.request(far.serverName, { method: 'GET', path })
  assert.deepEqual((await get()).body, JSON.parse(JSON.stringify(bob.list())))
  far.answerNext({}, answers.drip(0))
  assert.equal((await get()).body.stream_id, 1)
  const alice = near.addUser('alice')
  await near.sendEdus(far.serverName, [alice.addDevice('A')])
  assert.equal(far.received[0]!.origin, near.serverName)
})

test('a listener whose certificate is not trusted is not asked', async (t) => {
  const near = await startLoopbackRemote(await createLoopbackCertificate())
  const far = await startLoopbackRemote(await createLoopbackCertificate())
  t.after(() => Promise.all([near.close(), far.close()]))
  await assert.rejects(near.request(far.serverName, { method: 'GET', path: '/' }), { failure: 'tls' })
})
