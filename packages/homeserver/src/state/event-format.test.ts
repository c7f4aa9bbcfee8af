import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { alice, bob, createTestRoom, member, testKey, versionOf } from '../../test/support/test-events.ts'
import type { Pdu } from '../matrix/events.ts'
import type { EventId, RoomId, ServerName } from '../matrix/ids.ts'
import { canonicalRequest, type JsonObject } from '../matrix/json.ts'
import { decodeBase64, signingKeyFromSeed, verifyKeyFrom } from '../matrix/signing.ts'
import { buildEvent, completeEvent, type EventDraft } from './build-event.ts'
import { contentHash, eventIdOf, hasGoodContentHash, referenceHash } from './hashes.ts'
import { readEvent, trustedEvent } from './read-event.ts'
import { redactEvent, redactPdu } from './redaction.ts'
import { ROOM_VERSIONS } from './room-versions.ts'
import { requiredSigners, signPdu, verifyPdu } from './signatures.ts'

const server = 'a.example' as ServerName
const publicKey = verifyKeyFrom(testKey.publicKey)!

describe('the test vectors of the specification', () => {
  const key = signingKeyFromSeed('ed25519:1', decodeBase64('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1'))
  const vectors: [pdu: JsonObject, hash: string, signature: string][] = [
    [
      {
        room_id: '!x:domain',
        sender: '@a:domain',
        origin: 'domain',
        origin_server_ts: 1000000,
        signatures: {},
        hashes: {},
        type: 'X',
        content: {},
        prev_events: [],
        auth_events: [],
        depth: 3,
        unsigned: { age_ts: 1000000 },
      },
      '5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos',
      'KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg',
    ],
    [
      {
        content: { body: 'Here is the message content' },
        event_id: '$0:domain',
        origin: 'domain',
        origin_server_ts: 1000000,
        type: 'm.room.message',
        room_id: '!r:domain',
        sender: '@u:domain',
        signatures: {},
        unsigned: { age_ts: 1000000 },
      },
      'onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g',
      'Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA',
    ],
  ]
  for (const [pdu, sha256, signature] of vectors) {
    it(`signs ${pdu.type}`, () => {
      const hashed = { ...pdu, hashes: { sha256: contentHash(pdu) } } as unknown as Pdu
      const signed = signPdu(hashed, versionOf('1'), 'domain' as ServerName, key)
      assert.deepEqual(signed, { ...pdu, hashes: { sha256 }, signatures: { domain: { 'ed25519:1': signature } } })
      assert.ok(hasGoodContentHash(signed))
    })
  }
})

/** A message in a room of each version. */
const rooms = ROOM_VERSIONS.map((version) => {
  const room = createTestRoom(version)
  const joined = room.add(room.created, member(alice, 'join'))
  return {
    version,
    room,
    message: room.build(joined, { type: 'm.room.message', sender: alice, content: { body: 'x' } }),
  }
})

describe('the format of an event', () => {
  for (const { version, room, message } of rooms) {
    it(`of version ${version.id} is read as it was built`, () => {
      for (const event of room.events.values()) {
        assert.deepEqual(readEvent(JSON.parse(JSON.stringify(event.pdu)), version), event)
        assert.deepEqual(trustedEvent(event.pdu, version, event.eventId), event)
      }
    })

    it(`of version ${version.id} has the links and IDs of that version`, () => {
      const [first] = message.pdu.prev_events as unknown[]
      const previous = room.events.get(message.prevEvents[0]!)!
      if (version.eventFormat === 1) {
        assert.deepEqual(first, [previous.eventId, { sha256: referenceHash(previous.pdu, version) }])
        assert.equal(message.pdu.event_id, message.eventId)
      } else {
        assert.equal(first, previous.eventId)
        assert.equal(
          message.eventId.slice(1).replaceAll('-', '+').replaceAll('_', '/'),
          referenceHash(message.pdu, version).replaceAll('-', '+').replaceAll('_', '/'),
        )
        assert.match(message.eventId, version.eventFormat === 2 ? /^\$[A-Za-z0-9+/]{43}$/ : /^\$[A-Za-z0-9_-]{43}$/)
      }
      assert.equal(
        room.create.roomId,
        version.roomIdIsCreateEvent ? `!${room.create.eventId.slice(1)}` : '!room:a.example',
      )
      assert.equal(message.authEvents.includes(room.create.eventId), !version.roomIdIsCreateEvent)
      assert.equal(Object.hasOwn(room.create.pdu, 'room_id'), !version.roomIdIsCreateEvent)
    })

    it(`of version ${version.id} that is malformed is not taken`, () => {
      const isOld = version.eventFormat === 1
      const link = (eventId: string) => (isOld ? [eventId, { sha256: 'x' }] : eventId)
      const faults: JsonObject[] = [
        { type: 1 },
        { type: null },
        { type: 'a\0b' },
        { type: 'x'.repeat(256) },
        { state_key: 1 },
        { state_key: 'ä'.repeat(128) },
        { sender: 'alice' },
        { sender: `@${'x'.repeat(255)}:a.example` },
        { content: [] },
        { content: 'x' },
        { content: { body: 'x'.repeat(65_536) } },
        { depth: -1 },
        { depth: 1.5 },
        { depth: 2 ** 53 },
        { depth: '1' },
        { origin_server_ts: 1.5 },
        { origin_server_ts: null },
        { hashes: {} },
        { hashes: { sha256: 1 } },
        { signatures: [] },
        { signatures: { 'a.example': 'x' } },
        { signatures: { 'a.example': { 'ed25519:1': 1 } } },
        { room_id: 'room' },
        { room_id: null },
        { prev_events: 'x' },
        { prev_events: [1] },
        { prev_events: [isOld ? '$x:a.example' : ['$x', {}]] },
        { prev_events: Array.from({ length: 21 }, (_, i) => link(`$${i}:a.example`)) },
        { auth_events: Array.from({ length: 11 }, (_, i) => link(`$${i}:a.example`)) },
        { auth_events: {} },
        ...(isOld ? [{ event_id: 'x' }, { event_id: '$x' }] : []),
        ...(version.redactsInContent ? [] : [{ redacts: 1 }]),
        ...(version.strictJson ? [{ unsigned: { a: 1.5 } }, { content: { a: 2 ** 53 } }] : []),
      ]
      for (const fault of faults) {
        const read = readEvent({ ...message.pdu, ...fault }, version)
        assert.ok('invalid' in read, JSON.stringify(fault).slice(0, 80))
      }
      for (const key of [
        'type',
        'sender',
        'content',
        'depth',
        'origin_server_ts',
        'hashes',
        'signatures',
        'room_id',
        'prev_events',
        'auth_events',
      ]) {
        const { [key]: _, ...rest } = message.pdu
        assert.ok('invalid' in readEvent(rest, version), key)
      }
    })

    it(`of version ${version.id} keeps members that nobody knows, and numbers as the version allows them`, () => {
      const read = readEvent({ ...message.pdu, 'org.example': { a: null }, unsigned: { age: 1 } }, version)
      assert.ok(!('invalid' in read))
      assert.deepEqual(read.pdu['org.example'], { a: null })
      const float = readEvent({ ...message.pdu, content: { a: 1.5, b: 2 ** 60 } }, version)
      assert.equal('invalid' in float, version.strictJson)
    })
  }

  it('says what is merely too large', () => {
    const { version, message } = rooms.at(-1)!
    const read = readEvent({ ...message.pdu, content: { body: 'x'.repeat(65_536) } }, version)
    assert.ok('invalid' in read && read.tooLarge)
    const malformed = readEvent({ ...message.pdu, depth: 'x' }, version)
    assert.ok('invalid' in malformed && !malformed.tooLarge)
  })

  it('of version 12 gives a create event no room ID', () => {
    const { version, room } = rooms.at(-1)!
    assert.ok('invalid' in readEvent({ ...room.create.pdu, room_id: '!x' }, version))
  })

  it('has what it redacts where the version says it', () => {
    const redacts = '$x:a.example' as EventId
    for (const { version, room } of rooms) {
      const event = room.build(room.created, { type: 'm.room.redaction', sender: alice, redacts })
      assert.equal(event.redacts, redacts)
      assert.equal(event.pdu.redacts, version.redactsInContent ? undefined : redacts)
      assert.equal(event.content.redacts, version.redactsInContent ? redacts : undefined)
    }
  })

  it('of garbage is none, and nothing is thrown', () => {
    const garbage = fc.oneof(
      fc.jsonValue(),
      fc.record(Object.fromEntries(Object.keys(rooms[0]!.message.pdu).map((key) => [key, fc.jsonValue()])), {
        requiredKeys: [],
      }),
    )
    fc.assert(
      fc.property(garbage, fc.constantFrom(...rooms), (value, { version, message }) => {
        assert.ok('invalid' in readEvent(value, version))
        if (typeof value === 'object' && value !== null) readEvent({ ...message.pdu, ...value }, version)
      }),
    )
  })

  it('that nests without end is not taken', () => {
    const deep = JSON.parse('['.repeat(5000) + ']'.repeat(5000))
    for (const { version, message } of rooms) {
      assert.ok('invalid' in readEvent({ ...message.pdu, content: { deep } }, version))
      assert.ok('invalid' in completeEvent({ ...message.pdu, content: { deep } }, version, server, testKey))
    }
  })
})

/** Content of a kind that every room version can take. */
const content: fc.Arbitrary<JsonObject> = fc
  .array(
    fc.tuple(
      fc.oneof(
        fc.string(),
        fc.constantFrom('membership', 'third_party_invite', 'join_rule', 'creator', 'aliases', '__proto__'),
      ),
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.maxSafeInteger().map((number) => number + 0),
        fc.boolean(),
        fc.constant({ signed: { a: 1 }, b: 2 }),
        fc.constant(null),
      ),
    ),
  )
  .map((members) => Object.fromEntries(members))

const draft: fc.Arbitrary<EventDraft> = fc.record({
  roomId: fc.constant('!room:a.example' as RoomId),
  type: fc.constantFrom(
    'm.room.message',
    'm.room.member',
    'm.room.power_levels',
    'm.room.aliases',
    'm.room.redaction',
    'm.room.name',
  ),
  stateKey: fc.constantFrom(undefined, '', alice),
  sender: fc.constant(alice),
  content,
  prevEvents: fc.array(fc.constant('$prev:a.example' as EventId), { maxLength: 20 }),
  authEvents: fc.array(fc.constant('$auth:a.example' as EventId), { maxLength: 10 }),
  depth: fc.nat(),
  originServerTs: fc.nat(),
  redacts: fc.constantFrom(undefined, '$x:a.example' as EventId),
  eventId: fc.constant('$own:a.example' as EventId),
  referenceHashOf: fc.constant(() => 'x'),
  unsigned: fc.constantFrom(undefined, { age: 1 }),
})

describe('an event that we build', () => {
  const version = fc.constantFrom(...ROOM_VERSIONS)

  it('passes every check, also once it is redacted', () => {
    fc.assert(
      fc.property(draft, version, (wish, rules) => {
        const event = buildEvent(wish, rules, server, testKey)
        assert.ok(!('invalid' in event), JSON.stringify(event))
        assert.deepEqual(readEvent(JSON.parse(canonicalRequest(event.pdu)!), rules), event)
        assert.ok(hasGoodContentHash(event.pdu))
        assert.ok(verifyPdu(event.pdu, rules, server, testKey.keyId, publicKey))
        const redacted = redactPdu(event.pdu, rules)
        assert.deepEqual(redactPdu(redacted, rules), redacted)
        assert.equal(eventIdOf(redacted, rules), event.eventId)
        assert.ok(verifyPdu(redacted, rules, server, testKey.keyId, publicKey))
        assert.deepEqual(readEvent(redacted, rules), redactEvent(event, rules))
      }),
      { numRuns: 300 },
    )
  })

  it('is told from one that was altered', () => {
    for (const { version: rules, message } of rooms) {
      const altered = { ...message.pdu, content: { body: 'y' } }
      assert.ok(!hasGoodContentHash(altered))
      // What redaction removes is not signed, what it leaves is.
      assert.ok(verifyPdu(altered, rules, server, testKey.keyId, publicKey))
      assert.ok(!verifyPdu({ ...message.pdu, depth: 99 }, rules, server, testKey.keyId, publicKey))
      assert.ok(!verifyPdu(message.pdu, rules, 'b.example' as ServerName, testKey.keyId, publicKey))
    }
  })

  it('is none, with the reason, where it is too large or a hash is missing', () => {
    const wish = { roomId: '!room:a.example' as RoomId, type: 'm.x', sender: alice, depth: 1, originServerTs: 1 }
    const event = {
      ...wish,
      prevEvents: ['$x:a.example' as EventId],
      authEvents: [],
      eventId: '$y:a.example' as EventId,
    }
    for (const rules of ROOM_VERSIONS) {
      const large = buildEvent(
        { ...event, content: { body: 'x'.repeat(65_400) }, referenceHashOf: () => 'x' },
        rules,
        server,
        testKey,
      )
      assert.ok('invalid' in large && large.tooLarge)
      assert.equal('invalid' in buildEvent({ ...event, content: {} }, rules, server, testKey), rules.eventFormat === 1)
    }
  })

  it('stays within the greatest depth', () => {
    for (const { room } of rooms) {
      const event = room.build(room.created, { type: 'm.x', sender: alice, depth: 2 ** 53 })
      assert.equal(event.depth, 2 ** 53 - 1)
    }
  })

  it('can be made of another server’s template, whose own marks are dropped', () => {
    for (const { version: rules, message } of rooms) {
      const template = { ...message.pdu, hashes: { sha256: 'x' }, signatures: { 'b.example': { 'ed25519:1': 'x' } } }
      const event = completeEvent(template, rules, server, testKey, message.eventId)
      assert.deepEqual(event, message)
      assert.ok('invalid' in completeEvent({ type: 'm.room.member' }, rules, server, testKey, message.eventId))
    }
  })
})

describe('the servers that must have signed', () => {
  it('are the sender’s, and in old versions the event ID’s', () => {
    for (const { version, room } of rooms) {
      const event = room.build(room.created, { type: 'm.x', sender: bob, eventId: '$x:z.example' as EventId })
      assert.deepEqual(
        requiredSigners(event, version),
        version.eventFormat === 1 ? ['b.example', 'z.example'] : ['b.example'],
      )
    }
  })

  it('are not the sender’s for a third-party invite', () => {
    for (const { version, room } of rooms) {
      const invite = member(alice, 'invite', bob, { third_party_invite: {} })
      const event = room.build(room.created, { ...invite, eventId: '$x:z.example' as EventId })
      assert.deepEqual(requiredSigners(event, version), version.eventFormat === 1 ? ['z.example'] : [])
    }
  })

  it('are that of whoever authorised a restricted join, where there are such joins', () => {
    for (const { version, room } of rooms) {
      const event = room.build(room.created, member(bob, 'join', bob, { join_authorised_via_users_server: alice }))
      assert.deepEqual(
        requiredSigners(event, version),
        version.restrictedJoins ? ['b.example', 'a.example'] : ['b.example'],
      )
    }
  })
})
