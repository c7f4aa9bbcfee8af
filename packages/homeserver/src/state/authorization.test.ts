import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  alice,
  type Branch,
  bob,
  carol,
  createTestRoom,
  dave,
  joinRules,
  levels,
  member,
  named,
  type Said,
  type TestRoom,
  versionOf,
} from '../../test/support/test-events.ts'
import type { EventId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { signingKeyFromSeed, signJson } from '../matrix/signing.ts'
import { authEventKeys, checkAuthEvents } from './auth-events.ts'
import { authorize } from './authorization.ts'
import { ROOM_VERSIONS } from './room-versions.ts'

const ALL = ROOM_VERSIONS.map(({ id }) => id)
const from = (first: number) => ALL.filter((id) => Number(id) >= first)
const before = (first: number) => ALL.filter((id) => Number(id) < first)

/** Levels with Alice at 100, where she can have one, and Bob at 50. */
const usersIn = (id: string, more: JsonObject = {}): JsonObject =>
  id === '12' ? { [bob]: 50, ...more } : { [alice]: 100, [bob]: 50, ...more }

/** A room in which Alice and, of 50, Bob are joined. */
function roomOf(id: string, rule = 'invite', more: JsonObject = {}) {
  const room = createTestRoom(versionOf(id))
  const start = room.addAll(
    room.created,
    member(alice, 'join'),
    levels(alice, { users: usersIn(id), ...more }),
    joinRules(alice, 'public'),
    member(bob, 'join'),
    joinRules(alice, rule),
  )
  return { room, start }
}

/** Whether the state of a branch, and the auth events that follow from it, allow an event. */
function allows(room: TestRoom, branch: Branch, said: Said): boolean {
  const event = room.build(branch, said)
  const authEvents = event.authEvents.map((id) => room.events.get(id)!)
  assert.deepEqual(
    checkAuthEvents(event, room.version, authEvents, () => false),
    { allowed: true },
  )
  const verdict = authorize(event, room.version, room.view(branch))
  const authView = (type: string, key: string) =>
    type === 'm.room.create' ? room.create : authEvents.find((one) => one.type === type && one.stateKey === key)
  assert.deepEqual(authorize(event, room.version, authView), verdict, 'the auth events say as much as the state')
  return verdict.allowed
}

/** A rule: what has happened in the room of Alice and Bob, what is said then, and in which versions it is allowed. */
type Case = [name: string, history: Said[], said: Said, allowedIn: string[], rule?: string]

const setName = named(bob, 'x')
const kick = member(bob, 'leave', carol)
const ban = member(bob, 'ban', carol)
const isIn = [member(alice, 'invite', carol), member(carol, 'join')]

const cases: Case[] = [
  // joins
  ['joins a public room', [], member(carol, 'join'), ALL, 'public'],
  ['joins an invite-only room', [], member(carol, 'join'), []],
  ['joins by an invite', [member(bob, 'invite', carol)], member(carol, 'join'), ALL],
  ['joins again while joined', isIn, member(carol, 'join'), ALL],
  ['joins for somebody else', [], member(bob, 'join', carol), [], 'public'],
  ['joins while banned', [ban], member(carol, 'join'), [], 'public'],
  ['joins by an invite where one may knock', [member(bob, 'invite', carol)], member(carol, 'join'), from(7), 'knock'],
  ['joins a room where one may knock', [], member(carol, 'join'), [], 'knock'],
  ['joins by an invite to a private room', [member(bob, 'invite', carol)], member(carol, 'join'), [], 'private'],
  [
    'joins by an invite to a restricted room',
    [member(bob, 'invite', carol)],
    member(carol, 'join'),
    from(8),
    'restricted',
  ],
  ['joins a restricted room on nobody’s word', [], member(carol, 'join'), [], 'restricted'],
  [
    'joins a restricted room by authorisation',
    [],
    member(carol, 'join', carol, { join_authorised_via_users_server: bob }),
    from(8),
    'restricted',
  ],
  [
    'joins a restricted room by a stranger’s authorisation',
    [],
    member(carol, 'join', carol, { join_authorised_via_users_server: dave }),
    [],
    'restricted',
  ],
  [
    'joins a restricted room by the authorisation of who may not invite',
    [levels(alice, { users: {}, invite: 10 })],
    member(carol, 'join', carol, { join_authorised_via_users_server: bob }),
    [],
    'restricted',
  ],
  [
    'joins a knock_restricted room by authorisation',
    [],
    member(carol, 'join', carol, { join_authorised_via_users_server: bob }),
    from(10),
    'knock_restricted',
  ],
  [
    'joins a public room, authorised by what is no user',
    [],
    member(carol, 'join', carol, { join_authorised_via_users_server: 'x' }),
    before(8),
    'public',
  ],
  // invites
  ['invites', [], member(bob, 'invite', carol), ALL],
  ['invites from outside', [], member(carol, 'invite', dave), [], 'public'],
  ['invites whoever is in', isIn, member(bob, 'invite', carol), []],
  ['invites whoever is banned', [ban], member(bob, 'invite', carol), []],
  ['invites without the power', [levels(alice, { users: {}, invite: 1 })], member(bob, 'invite', carol), []],
  // leaving
  ['leaves', isIn, member(carol, 'leave'), ALL],
  ['rejects an invite', [member(bob, 'invite', carol)], member(carol, 'leave'), ALL],
  ['leaves a room without being in it', [], member(carol, 'leave'), []],
  ['leaves while banned', [ban], member(carol, 'leave'), []],
  ['takes back a knock', [member(carol, 'knock')], member(carol, 'leave'), from(7), 'knock'],
  ['kicks', isIn, kick, ALL],
  ['kicks an equal', [levels(alice, { users: {}, kick: 0 }), ...isIn], kick, []],
  ['kicks without the power', [levels(alice, { users: { [bob]: 49 } }), ...isIn], kick, []],
  ['kicks the more powerful', [], member(bob, 'leave', alice), []],
  ['kicks from outside', isIn, member(dave, 'leave', carol), []],
  ['lifts a ban', [ban], kick, ALL],
  [
    'lifts a ban without the power to ban',
    [member(alice, 'ban', carol), levels(alice, { users: { [bob]: 50 }, ban: 51 })],
    kick,
    [],
  ],
  // bans
  ['bans a stranger', [], ban, ALL],
  ['bans an equal', [levels(alice, { users: { [bob]: 50, [carol]: 50 } }), ...isIn], ban, []],
  ['bans without the power', [levels(alice, { users: { [bob]: 49 } })], ban, []],
  ['bans from outside', [], member(dave, 'ban', carol), []],
  ['bans the more powerful', [], member(bob, 'ban', alice), []],
  // knocks
  ['knocks', [], member(carol, 'knock'), from(7), 'knock'],
  ['knocks on a knock_restricted room', [], member(carol, 'knock'), from(10), 'knock_restricted'],
  ['knocks on an invite-only room', [], member(carol, 'knock'), []],
  ['knocks on a restricted room', [], member(carol, 'knock'), [], 'restricted'],
  ['knocks for somebody else', [], member(bob, 'knock', carol), [], 'knock'],
  ['knocks while banned', [ban], member(carol, 'knock'), [], 'knock'],
  ['knocks while invited', [member(bob, 'invite', carol)], member(carol, 'knock'), [], 'knock'],
  // other memberships
  ['has an unknown membership', [], member(carol, 'wave'), [], 'public'],
  [
    'has a membership that is no state',
    [],
    { type: 'm.room.member', sender: carol, content: { membership: 'join' } },
    [],
    'public',
  ],
  // sending
  ['speaks', [], { type: 'm.room.message', sender: bob }, ALL],
  ['speaks from outside', [], { type: 'm.room.message', sender: carol }, [], 'public'],
  ['speaks after leaving', [member(bob, 'leave')], { type: 'm.room.message', sender: bob }, []],
  [
    'speaks below events_default',
    [levels(alice, { users: {}, events_default: 1 })],
    { type: 'm.room.message', sender: bob },
    [],
  ],
  ['names the room', [], setName, ALL],
  ['names the room below state_default', [levels(alice, { users: { [bob]: 49 } })], setName, []],
  [
    'names the room below the level of that type',
    [levels(alice, { users: { [bob]: 50 }, events: { 'm.room.name': 51 } })],
    setName,
    [],
  ],
  [
    'names the room by the level of that type',
    [levels(alice, { users: {}, events: { 'm.room.name': 0 } })],
    setName,
    ALL,
  ],
  ['writes state of the own user ID', [], { type: 'm.x', stateKey: bob, sender: bob }, ALL],
  ['writes state of another user ID', [], { type: 'm.x', stateKey: carol, sender: bob }, []],
  ['tells its server’s aliases', [], { type: 'm.room.aliases', stateKey: 'b.example', sender: bob }, ALL],
  [
    'tells its server’s aliases from outside',
    [],
    { type: 'm.room.aliases', stateKey: 'c.example', sender: carol },
    before(6),
  ],
  ['tells another server’s aliases', [], { type: 'm.room.aliases', stateKey: 'a.example', sender: bob }, from(6)],
  ['tells aliases that are no state', [], { type: 'm.room.aliases', sender: bob }, from(6)],
  // redactions
  ['redacts by its level', [], { type: 'm.room.redaction', sender: bob, redacts: '$x:a.example' as EventId }, ALL],
  [
    'redacts its own server’s event',
    [levels(alice, { users: {} })],
    { type: 'm.room.redaction', sender: bob, redacts: '$x:b.example' as EventId },
    ALL,
  ],
  [
    'redacts another server’s event without the power',
    [levels(alice, { users: {} })],
    { type: 'm.room.redaction', sender: bob, redacts: '$x:a.example' as EventId },
    from(3),
  ],
  // third-party invites
  ['invites an address', [], { type: 'm.room.third_party_invite', stateKey: 't', sender: bob }, ALL],
  [
    'invites an address without the power',
    [levels(alice, { users: {}, invite: 1 })],
    { type: 'm.room.third_party_invite', stateKey: 't', sender: bob },
    [],
  ],
]

describe('the rules of', () => {
  for (const [name, history, said, allowedIn, rule] of cases) {
    it(`who ${name}: ${allowedIn.length === 0 ? 'nowhere' : allowedIn.join(' ')}`, () => {
      const allowed = ALL.filter((id) => {
        const { room, start } = roomOf(id, rule)
        return allows(room, room.addAll(start, ...history), said)
      })
      assert.deepEqual(allowed, allowedIn)
    })
  }
})

describe('power levels', () => {
  /** What Bob, of 50, may make of the levels, and in which versions. */
  const changes: [name: string, old: JsonObject, changed: JsonObject, allowedIn: string[]][] = [
    ['nothing', {}, {}, ALL],
    ['a default up to the own level', {}, { kick: 50 }, ALL],
    ['a default above the own level', {}, { kick: 51 }, []],
    ['a level that is above the own', { ban: 51 }, { ban: 50 }, []],
    ['a level that is above the own, by removal', { ban: 51 }, {}, []],
    ['a type', {}, { events: { 'm.x': 50 } }, ALL],
    ['a type above the own level', {}, { events: { 'm.x': 51 } }, []],
    ['a type that is above the own level', { events: { 'm.x': 51 } }, { events: {} }, []],
    ['a notification above the own level', {}, { notifications: { room: 51 } }, before(6)],
    ['a notification that is above the own level', { notifications: { room: 51 } }, {}, before(6)],
    ['a user below', {}, { users: { [carol]: 50 } }, ALL],
    ['a user above the own level', {}, { users: { [carol]: 51 } }, []],
    ['an equal', { users: { [carol]: 50 } }, { users: { [carol]: 0 } }, []],
    ['an equal, by removal', { users: { [carol]: 50 } }, {}, []],
    ['the own level down', {}, { users: { [bob]: 0 } }, ALL],
    ['the own level up', {}, { users: { [bob]: 51 } }, []],
    ['a level to a string', {}, { kick: ' +0050 ' }, before(10)],
    ['a user to a string', {}, { users: { [carol]: '50' } }, before(10)],
    ['a level to a string above the own level', {}, { kick: '51' }, []],
    ['a level to what is no number', {}, { kick: 'high' }, []],
    ['a type to what is no number', {}, { events: { 'm.x': [] } }, []],
    ['a user to what is no number', {}, { users: { [carol]: 'x' } }, []],
    ['a level to null', {}, { kick: null }, before(10)],
    ['the types to a list', {}, { events: [] }, []],
    ['the users to a list', {}, { users: [] }, []],
    ['who is no user', {}, { users: { carol: 1 } }, []],
    ['who is called like a member of every object', {}, { events: JSON.parse('{"__proto__": 51}') }, []],
  ]
  for (const [name, old, changed, allowedIn] of changes) {
    it(`Bob changes ${name}: ${allowedIn.length === 0 ? 'nowhere' : allowedIn.join(' ')}`, () => {
      const allowed = ALL.filter((id) => {
        const { room, start } = roomOf(id)
        const full = ({ users, ...rest }: JsonObject): JsonObject => ({
          ...rest,
          users: Array.isArray(users) ? users : usersIn(id, users as JsonObject | undefined),
        })
        return allows(room, room.add(start, levels(alice, full(old))), levels(bob, full(changed)))
      })
      assert.deepEqual(allowed, allowedIn)
    })
  }

  it('may be floats where the version knows no canonical JSON', () => {
    for (const id of before(6)) {
      const { room, start } = roomOf(id)
      const floats = room.add(start, levels(alice, { users: usersIn(id, { [carol]: 50.57 }), events_default: 50.9 }))
      assert.ok(allows(room, floats, { type: 'm.room.message', sender: bob }))
      assert.ok(!allows(room, floats, member(bob, 'ban', carol)))
    }
  })

  it('are the creator’s before there are any', () => {
    for (const id of ALL) {
      const room = createTestRoom(versionOf(id))
      const start = room.addAll(room.created, member(alice, 'join'), joinRules(alice, 'public'), member(bob, 'join'))
      assert.ok(allows(room, start, levels(alice, { users: id === '12' ? {} : { [alice]: 100 } })), id)
      assert.ok(!allows(room, start, levels(bob, {})), id)
      assert.ok(!allows(room, start, named(bob, 'x')), id)
    }
  })

  it('of version 12 are not for creators, who stand above all of them', () => {
    const room = createTestRoom(versionOf('12'), { additional_creators: [dave] })
    const start = room.addAll(
      room.created,
      member(alice, 'join'),
      levels(alice, { users: { [bob]: Number.MAX_SAFE_INTEGER } }),
      joinRules(alice, 'public'),
      member(bob, 'join'),
      member(dave, 'join'),
    )
    for (const creator of [alice, dave]) {
      assert.ok(!allows(room, start, levels(alice, { users: { [creator]: 1 } })))
      assert.ok(!allows(room, start, member(bob, 'ban', creator)))
      assert.ok(allows(room, start, member(creator, 'ban', bob)))
      assert.ok(allows(room, start, levels(creator, { users: {} })))
    }
    assert.ok(!allows(room, start, member(alice, 'ban', dave)))
  })
})

describe('the creation of a room', () => {
  it('is by whoever’s server the room ID names, in a known version', () => {
    for (const id of ALL) {
      const version = versionOf(id)
      const { room, start } = roomOf(id)
      const roomId = version.roomIdIsCreateEvent ? undefined : room.create.roomId
      const nowhere: Branch = { last: undefined, state: new Map() }
      const judge = (more: JsonObject, sender = alice, branch = nowhere) => {
        const content = { creator: alice, ...more }
        const event = room.build(branch, { type: 'm.room.create', stateKey: '', sender, roomId, content })
        return authorize(event, version, () => undefined).allowed
      }
      assert.ok(judge({}), id)
      assert.ok(!judge({}, alice, start), id)
      assert.ok(!judge({ room_version: 'x' }), id)
      assert.ok(!judge({ room_version: 1 }), id)
      assert.equal(judge({}, bob), version.roomIdIsCreateEvent)
      assert.equal(judge({ additional_creators: ['x'] }), !version.privilegedCreators)
      assert.equal(judge({ additional_creators: bob }), !version.privilegedCreators)
      assert.ok(judge({ additional_creators: [bob] }))
      const withoutCreator = room.build(nowhere, { type: 'm.room.create', sender: alice, roomId })
      assert.equal(authorize(withoutCreator, version, () => undefined).allowed, !version.creatorInContent)
    }
  })

  it('lets the creator in first, and nobody else', () => {
    for (const id of ALL) {
      const room = createTestRoom(versionOf(id))
      assert.ok(allows(room, room.created, member(alice, 'join')), id)
      assert.ok(!allows(room, room.created, member(bob, 'join')), id)
      const later = room.add(room.created, { type: 'm.x', sender: alice })
      assert.ok(!allows(room, later, member(alice, 'join')), id)
    }
  })

  it('without federation keeps the users of other servers out', () => {
    for (const id of ALL) {
      const room = createTestRoom(versionOf(id), { 'm.federate': false })
      const start = room.addAll(room.created, member(alice, 'join'), joinRules(alice, 'public'))
      assert.ok(!allows(room, start, member(bob, 'join')), id)
      assert.ok(allows(room, start, named(alice, 'x')), id)
    }
  })

  it('is of that room: nothing is allowed without it, or by another’s', () => {
    for (const id of ALL) {
      const { room, start } = roomOf(id)
      const event = room.build(start, named(alice, 'x'))
      const view = room.view(start)
      const other = createTestRoom(versionOf(id), { other: true })
      const elsewhere = { ...other.create, roomId: '!other:a.example' as typeof other.create.roomId }
      for (const create of [undefined, elsewhere]) {
        const verdict = authorize(event, room.version, (type, key) =>
          type === 'm.room.create' ? create : view(type, key),
        )
        assert.ok(!verdict.allowed)
      }
    }
  })
})

describe('an invite by a third-party identifier', () => {
  const key = signingKeyFromSeed('ed25519:0', Buffer.alloc(32, 1))
  const other = signingKeyFromSeed('ed25519:0', Buffer.alloc(32, 2))
  const signedBy = (by: typeof key, mxid = carol, token = 't') => signJson({ mxid, token }, 'id.example', by)
  const invite = (signed: unknown, sender = bob) =>
    member(sender, 'invite', carol, { third_party_invite: { signed } as JsonObject })
  const published: JsonObject[] = [
    { public_key: key.publicKey },
    { public_key: other.publicKey, public_keys: [{ public_key: key.publicKey }] },
    { public_keys: ['x', null, { public_key: 1 }, { public_key: 'AAAA' }, { public_key: key.publicKey }] },
  ]

  for (const content of published) {
    it(`needs a signature by one of ${JSON.stringify(content).slice(0, 60)}`, () => {
      for (const id of ALL) {
        const { room, start } = roomOf(id)
        const asked = room.add(start, { type: 'm.room.third_party_invite', stateKey: 't', sender: bob, content })
        const left = room.add(asked, member(bob, 'leave'))
        assert.ok(allows(room, asked, invite(signedBy(key))), id)
        assert.ok(allows(room, left, invite(signedBy(key))), 'the sender need not be in the room any more')
        for (const signed of [
          undefined,
          'x',
          {},
          { mxid: carol, token: 't' },
          { mxid: carol, token: 't', signatures: { a: 1, b: { 'ed25519:0': 'x', c: null } } },
          { ...signedBy(key), more: 1 },
          signedBy(key, dave),
          signedBy(key, carol, 'u'),
          signedBy(signingKeyFromSeed('ed25519:0', Buffer.alloc(32, 3))),
        ]) {
          assert.ok(!allows(room, asked, invite(signed ?? null)), JSON.stringify(signed))
        }
        assert.ok(!allows(room, asked, invite(signedBy(key), alice)), 'the sender must be the same')
        assert.ok(!allows(room, room.add(asked, ban), invite(signedBy(key))), 'the user must not be banned')
        assert.ok(!allows(room, start, invite(signedBy(key))), 'there must have been one')
      }
    })
  }
})

describe('auth events', () => {
  it('are selected by what the event is', () => {
    const keysOf = (id: string, said: Said) =>
      authEventKeys({ content: {}, ...said }, versionOf(id)).map(([type, key]) => `${type.slice(7)} ${key}`.trim())
    const invite = { signed: { token: 't' } }
    const basic = ['power_levels', `member ${bob}`]
    const authorised = { join_authorised_via_users_server: alice }
    assert.deepEqual(keysOf('11', { type: 'm.room.create', sender: bob }), [])
    assert.deepEqual(keysOf('11', { type: 'm.x', sender: bob }), ['create', ...basic])
    assert.deepEqual(keysOf('12', { type: 'm.x', sender: bob, stateKey: carol }), basic)
    assert.deepEqual(keysOf('12', member(bob, 'join')), ['power_levels', 'join_rules', `member ${bob}`])
    assert.deepEqual(keysOf('12', member(bob, 'leave', carol)), [...basic, `member ${carol}`])
    assert.deepEqual(keysOf('12', member(bob, 'knock')), ['power_levels', 'join_rules', `member ${bob}`])
    assert.deepEqual(keysOf('12', member(bob, 'invite', carol, { third_party_invite: invite })), [
      'power_levels',
      'join_rules',
      'third_party_invite t',
      `member ${bob}`,
      `member ${carol}`,
    ])
    assert.deepEqual(keysOf('8', member(bob, 'join', bob, authorised)).at(-1), `member ${alice}`)
    assert.deepEqual(keysOf('7', member(bob, 'join', bob, authorised)).at(-1), `member ${bob}`)
    assert.deepEqual(keysOf('8', member(bob, 'leave', bob, authorised)).at(-1), `member ${bob}`)
  })

  it('that are twice there, not to be there, rejected, of another room, or without the creation are not accepted', () => {
    for (const id of ALL) {
      const { room, start } = roomOf(id)
      const event = room.build(start, named(bob, 'x'))
      const authEvents = event.authEvents.map((eventId) => room.events.get(eventId)!)
      const check = (named: typeof authEvents, isRejected: (eventId: EventId) => boolean = () => false) =>
        checkAuthEvents(event, room.version, named, isRejected).allowed
      const [first] = authEvents
      assert.ok(check(authEvents), id)
      assert.ok(!check([...authEvents, first!]))
      assert.ok(!check([...authEvents, room.events.get(start.state.get(`m.room.member\0${alice}`)!)!]))
      assert.ok(!check([...authEvents, event]))
      assert.ok(!check(authEvents, (eventId) => eventId === first!.eventId))
      assert.ok(!check([{ ...first!, roomId: '!other:a.example' as typeof event.roomId }, ...authEvents.slice(1)]))
      const withoutCreate = authEvents.filter((one) => one !== room.create)
      assert.equal(check(withoutCreate), room.version.roomIdIsCreateEvent)
      assert.equal(check([room.create, ...withoutCreate]), !room.version.roomIdIsCreateEvent)
      const twice = { ...event, authEvents: [...event.authEvents, first!.eventId] }
      assert.ok(!checkAuthEvents(twice, room.version, authEvents, () => false).allowed)
    }
  })
})
