import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { Pdu } from '../matrix/events.ts'
import type { EventId, RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { type SigningKey, signingKeyFromSeed, verifyKeyFrom } from '../matrix/signing.ts'
import { buildEvent } from '../state/build-event.ts'
import { redactPdu } from '../state/redaction.ts'
import { ROOM_VERSIONS, roomVersion } from '../state/room-versions.ts'
import { signPdu } from '../state/signatures.ts'
import type { RemoteServers } from './ports.ts'
import { verifyEvents } from './verify-events.ts'

const FAR = 'far.example' as ServerName
const NEAR = 'near.example' as ServerName
const random = createSeededRandom('verify')
const keys = new Map([FAR, NEAR].map((name) => [name, signingKeyFromSeed('ed25519:1', random.bytes(32))]))
const v11 = roomVersion('11')!

/** Servers whose keys can be had, and how often each was asked for. */
function remoteWith(names: readonly ServerName[]) {
  const asked: string[] = []
  const remote: RemoteServers = {
    request: () => assert.fail('nobody is to be asked'),
    isAllowed: () => true,
    async keyForEvent(serverName, keyId, originServerTs, enforce) {
      asked.push(serverName)
      const key = names.includes(serverName) && keyId === 'ed25519:1' ? keys.get(serverName) : undefined
      if (!key || (enforce && originServerTs > 1_000)) return undefined
      return { key: verifyKeyFrom(key.publicKey)! }
    },
  }
  return { remote, asked, clock: createFakeClock() }
}

function message(changes: { version?: typeof v11; ts?: number; serverName?: ServerName; body?: string } = {}): Pdu {
  const { version = v11, ts = 1_000, serverName = FAR, body = 'hello' } = changes
  const built = buildEvent(
    {
      roomId: '!room:far.example' as RoomId,
      type: 'm.room.message',
      sender: `@u:${serverName}` as UserId,
      content: { body },
      prevEvents: version.eventFormat === 1 ? [] : ['$before' as EventId],
      authEvents: [],
      depth: 5,
      originServerTs: ts,
      eventId: `$abc:${serverName}` as EventId,
    },
    version,
    serverName,
    keys.get(serverName) as SigningKey,
  )
  assert.ok(!('invalid' in built), JSON.stringify(built))
  return built.pdu
}

async function verifyOne(pdu: unknown, version = v11, names = [FAR, NEAR]) {
  const [result] = await verifyEvents(remoteWith(names), [pdu], version)
  return result!
}

for (const version of ROOM_VERSIONS) {
  test(`version ${version.id}: a good event is taken as it is, one with another content redacted`, async () => {
    const pdu = message({ version })
    const good = await verifyOne(pdu, version)
    assert.ok('event' in good)
    assert.deepEqual(good.event.pdu, pdu)
    const changed = await verifyOne({ ...pdu, content: { body: 'never said' } }, version)
    assert.ok('event' in changed)
    assert.equal(changed.event.eventId, good.event.eventId)
    assert.deepEqual(changed.event.content, {})
    const redacted = await verifyOne(redactPdu(pdu, version), version)
    assert.ok('event' in redacted && redacted.event.eventId === good.event.eventId)
  })
}

test('what is wrong with one says nothing of its neighbours', async () => {
  const good = message()
  const unknownKey = { ...good, signatures: { [FAR]: { 'ed25519:unknown': good.signatures[FAR]!['ed25519:1']! } } }
  const wrong: unknown[] = [
    null,
    'text',
    { ...good, type: 5 },
    { ...good, depth: -1 },
    { ...good, signatures: {} },
    { ...good, signatures: { [NEAR]: good.signatures[FAR] } },
    { ...good, type: 'm.other' },
    { ...good, content: { body: 'x'.repeat(65_536) } },
    unknownKey,
    message({ ts: 1_001 }),
    signPdu({ ...good, sender: '@u:near.example' }, v11, FAR, keys.get(FAR)!),
  ]
  const results = await verifyEvents(
    remoteWith([FAR, NEAR]),
    wrong.flatMap((pdu) => [pdu, good]),
    v11,
  )
  assert.deepEqual(
    results.map((result) => 'event' in result),
    wrong.flatMap(() => [false, true]),
  )
})

test('a key has to have been valid where the room version says so', async () => {
  const v4 = roomVersion('4')!
  assert.ok('event' in (await verifyOne(message({ version: v4, ts: 1_001 }), v4)))
  const v5 = roomVersion('5')!
  const late = await verifyOne(message({ version: v5, ts: 1_001 }), v5)
  assert.ok('invalid' in late && late.eventId !== undefined)
})

test('a second signature with a key that is not known does no harm, a bad one with a known key does', async () => {
  const good = message()
  const signature = good.signatures[FAR]!['ed25519:1']!
  const more = { ...good, signatures: { [FAR]: { 'ed25519:policy_server': 'AAAA', 'ed25519:1': signature } } }
  assert.ok('event' in (await verifyOne(more)))
  const bad = { ...good, signatures: { [FAR]: { 'ed25519:1': signature.replace(/^../, 'xx') } } }
  assert.ok('invalid' in (await verifyOne(bad)))
})

test('what others write into unsigned is dropped', async () => {
  const result = await verifyOne({ ...message(), unsigned: { transaction_id: 'x', redacted_because: {} } })
  assert.ok('event' in result)
  assert.equal(result.event.pdu.unsigned, undefined)
})

test('the keys of servers are fetched before the first event is verified', async () => {
  const { remote, asked, clock } = remoteWith([FAR, NEAR])
  const pdus = [...Array(20)].map((_, n) => message({ serverName: n % 2 ? FAR : NEAR, body: `${n}` }))
  const results = await verifyEvents({ remote, clock }, pdus, v11)
  assert.ok(results.every((result) => 'event' in result))
  assert.deepEqual(asked.slice(0, 2).sort(), [FAR, NEAR])
  assert.equal(asked.length, 22)
})

test('servers that do not answer are waited for together, and not for ever', async () => {
  const { remote, clock } = remoteWith([FAR])
  const { keyForEvent } = remote
  const hanging = {
    ...remote,
    keyForEvent: async (...args: Parameters<typeof keyForEvent>) => {
      if (args[0] !== FAR) await new Promise(() => {})
      return keyForEvent(...args)
    },
  }
  const pdus = [message({ serverName: NEAR }), message({ serverName: FAR })]
  const verifying = verifyEvents({ remote: hanging, clock }, pdus, v11)
  await clock.advance(60_000)
  assert.deepEqual(
    (await verifying).map((result) => 'event' in result),
    [false, true],
  )
})

test('thousands at once leave others their turn', async () => {
  const pdus = [...Array(2_000)].map((_, n) => message({ body: `${n}` }))
  let turns = 0
  let done = false
  const count = () => {
    turns++
    if (!done) setImmediate(count)
  }
  setImmediate(count)
  const results = await verifyEvents(remoteWith([FAR]), pdus, v11)
  done = true
  assert.ok(results.every((result) => 'event' in result))
  assert.ok(turns > 10, `${turns} turns`)
})
