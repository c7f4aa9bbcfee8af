import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { alice, bob, carol, createTestRoom, levels, member, versionOf } from '../../test/support/test-events.ts'
import type { EventId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { powerLevels } from './power-levels.ts'
import { redactEvent, redactionApplies, redactPdu } from './redaction.ts'
import { ROOM_VERSIONS, roomVersion } from './room-versions.ts'

const ALL = ROOM_VERSIONS.map(({ id }) => id)
const from = (first: number) => ALL.filter((id) => Number(id) >= first)
const before = (first: number) => ALL.filter((id) => Number(id) < first)

/** A member of an event's content, and the versions in which it stays. */
const members: [type: string, member: string, staysIn: string[]][] = [
  ['m.room.member', 'membership', ALL],
  ['m.room.member', 'displayname', []],
  ['m.room.member', 'join_authorised_via_users_server', from(9)],
  ['m.room.create', 'creator', ALL],
  ['m.room.create', 'm.federate', from(11)],
  ['m.room.join_rules', 'join_rule', ALL],
  ['m.room.join_rules', 'allow', from(8)],
  ['m.room.power_levels', 'users', ALL],
  ['m.room.power_levels', 'kick', ALL],
  ['m.room.power_levels', 'invite', from(11)],
  ['m.room.power_levels', 'notifications', []],
  ['m.room.aliases', 'aliases', before(6)],
  ['m.room.history_visibility', 'history_visibility', ALL],
  ['m.room.redaction', 'redacts', from(11)],
  ['m.room.redaction', 'reason', []],
  ['m.room.message', 'body', []],
  ['m.room.name', 'constructor', []],
  ['constructor', 'x', []],
]

describe('redaction', () => {
  for (const [type, name, staysIn] of members) {
    it(`leaves ${name} of ${type}: ${staysIn.length === 0 ? 'nowhere' : staysIn.join(' ')}`, () => {
      const stays = ALL.filter((id) => {
        const room = createTestRoom(versionOf(id))
        const pdu = { ...room.build(room.created, { type: 'm.x', sender: alice }).pdu, type, content: { [name]: 'x' } }
        return Object.hasOwn(redactPdu(pdu, room.version).content, name)
      })
      assert.deepEqual(stays, staysIn)
    })
  }

  it('leaves of a third-party invite what is signed, as of version 11', () => {
    const cases: [invite: JsonObject | string, left: JsonObject][] = [
      [{ signed: { token: 't' }, display_name: 'x' }, { third_party_invite: { signed: { token: 't' } } }],
      [{ display_name: 'x' }, { third_party_invite: {} }],
      ['x', {}],
    ]
    for (const id of ALL) {
      const room = createTestRoom(versionOf(id))
      for (const [invite, left] of cases) {
        const event = room.build(room.created, member(alice, 'invite', bob, { third_party_invite: invite }))
        const expected = from(11).includes(id) ? { membership: 'invite', ...left } : { membership: 'invite' }
        assert.deepEqual(redactEvent(event, room.version).content, expected)
      }
    }
  })

  it('leaves the members of the event that the version protects', () => {
    for (const id of ALL) {
      const room = createTestRoom(versionOf(id))
      const { pdu } = room.build(room.created, { type: 'm.x', stateKey: '', sender: alice, unsigned: { age: 1 } })
      const old = { origin: 'a.example', membership: 'join', prev_state: [] }
      const redacted = redactPdu({ ...pdu, ...old, redacts: '$x', 'org.example': 1 }, room.version)
      const { unsigned: _, ...rest } = pdu
      assert.deepEqual(redacted, before(11).includes(id) ? { ...rest, ...old } : rest)
    }
  })

  it('takes effect by power, or by the sender’s server; before version 3 the auth rules have decided', () => {
    for (const id of ALL) {
      const room = createTestRoom(versionOf(id))
      const ours = id === '12' ? {} : { [alice]: 100 }
      const start = room.addAll(room.created, levels(alice, { users: { ...ours, [bob]: 50 } }))
      const said = room.build(start, { type: 'm.room.message', sender: alice })
      const applies = (sender: typeof alice, redacts = said.eventId) =>
        redactionApplies(
          room.build(start, { type: 'm.room.redaction', sender, redacts }),
          said,
          room.version,
          room.view(start),
        )
      assert.ok(applies(alice) && applies(bob), id)
      assert.equal(applies(carol), !from(3).includes(id))
      assert.ok(applies('@other:a.example' as typeof alice))
      assert.ok(!applies(alice, '$another:a.example' as EventId))
    }
  })
})

describe('power levels', () => {
  it('have defaults without an event, and with an event that does not say them', () => {
    for (const id of ALL) {
      const room = createTestRoom(versionOf(id))
      const defaults = { invite: 0, kick: 50, ban: 50, redact: 50, usersDefault: 0, eventsDefault: 0, stateDefault: 50 }
      for (const branch of [room.created, room.add(room.created, levels(alice, {}))]) {
        const found = powerLevels(room.version, room.view(branch))
        for (const [name, level] of Object.entries(defaults)) assert.equal(found[name as keyof typeof defaults], level)
        assert.deepEqual(
          [found.needed('m.x', true), found.needed('m.x', false), found.notifications('room')],
          [50, 0, 50],
        )
        assert.equal(found.of(bob), 0)
        assert.equal(found.of(alice), id === '12' ? Infinity : branch === room.created ? 100 : 0)
      }
    }
  })

  it('are read from own members only, and from what is a level', () => {
    for (const id of ALL) {
      const room = createTestRoom(versionOf(id))
      const content = { users: { [bob]: 7, [carol]: '8' }, events: { 'm.x': 9 }, notifications: { room: 10 }, ban: [] }
      const found = powerLevels(room.version, room.view(room.add(room.created, levels(alice, content))))
      assert.deepEqual([found.of(bob), found.of(carol)], [7, from(10).includes(id) ? 0 : 8])
      assert.deepEqual([found.needed('m.x', false), found.notifications('room'), found.ban], [9, 10, 50])
      assert.deepEqual([found.of('constructor'), found.needed('__proto__', true)], [0, 50])
    }
  })
})

it('room versions are known by their exact names', () => {
  assert.deepEqual(ALL, ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'])
  for (const id of ALL) assert.equal(roomVersion(id)?.id, id)
  for (const id of ['', '0', '13', '01', 'constructor', '__proto__']) assert.equal(roomVersion(id), undefined)
})
