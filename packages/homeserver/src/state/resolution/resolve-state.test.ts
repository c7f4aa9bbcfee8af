import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
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
} from '../../../test/support/test-events.ts'
import { type StateMap, stateEntry } from '../../matrix/events.ts'
import type { EventId, UserId } from '../../matrix/ids.ts'
import { authorize } from '../authorization.ts'
import { ROOM_VERSIONS, type RoomVersion } from '../room-versions.ts'
import { resolveState } from './resolve-state.ts'

/** A public room with Alice, whom everybody obeys, Bob, a moderator, and Carol. */
function lively(version: RoomVersion) {
  const room = createTestRoom(version)
  const users = version.privilegedCreators ? { [bob]: 50 } : { [alice]: 100, [bob]: 50 }
  const start = room.addAll(
    room.created,
    member(alice, 'join'),
    levels(alice, { users }),
    joinRules(alice, 'public'),
    member(bob, 'join'),
    member(carol, 'join'),
    named(alice, 'start'),
  )
  /** Levels like those of the start, but for what is said. */
  const withLevels = (sender: UserId, more: Record<string, number>) => levels(sender, { users: { ...users, ...more } })
  return { room, start, withLevels }
}

/** The event that holds a piece of the state that branches come to. */
function resolved(room: TestRoom, branches: Branch[], type: string, stateKey = '') {
  const state = resolveState(
    room.version,
    branches.map((branch) => branch.state),
    room.events,
  )
  return room.events.get(state.get(stateEntry(type, stateKey))!)
}

const modern = ROOM_VERSIONS.filter((version) => version.resolution !== 'v1')

for (const version of modern) {
  describe(`where states of a room of version ${version.id} meet`, () => {
    it('a ban wins over the join, profile change or leave of the same user', () => {
      for (const said of [member(carol, 'join', carol, { displayname: 'C' }), member(carol, 'leave')]) {
        const { room, start } = lively(version)
        const banned = room.add(start, member(bob, 'ban', carol))
        const other = room.addAll(start, said)
        assert.equal(resolved(room, [banned, other], 'm.room.member', carol), banned.last)
      }
    })

    it('what a banned user did elsewhere since does not count', () => {
      const { room, start } = lively(version)
      const banned = room.addAll(start, member(alice, 'ban', bob))
      const other = room.addAll(start, member(bob, 'ban', carol), joinRules(bob, 'invite'), named(bob, 'mine'))
      assert.equal(resolved(room, [banned, other], 'm.room.member', bob), banned.last)
      assert.equal(resolved(room, [banned, other], 'm.room.member', carol)?.content.membership, 'join')
      assert.equal(resolved(room, [banned, other], 'm.room.join_rules')?.content.join_rule, 'public')
      assert.equal(resolved(room, [banned, other], 'm.room.name')?.content.name, 'start')
    })

    it('the power levels of the more powerful win, and what they took away is not given on', () => {
      const { room, start, withLevels } = lively(version)
      const demoted = room.add(start, withLevels(alice, { [bob]: 0 }))
      const promoted = room.addAll(start, withLevels(bob, { [carol]: 50 }), named(carol, 'Carol’s'))
      assert.equal(resolved(room, [promoted, demoted], 'm.room.power_levels'), demoted.last)
      assert.equal(resolved(room, [promoted, demoted], 'm.room.name')?.content.name, 'start')
    })

    it('a later name wins of two that are allowed, and an old state takes nothing back', () => {
      const { room, start, withLevels } = lively(version)
      const later = room.addAll(
        start,
        withLevels(alice, { [bob]: 50, [carol]: 10 }),
        joinRules(alice, 'invite'),
        member(bob, 'ban', carol),
        named(bob, 'later'),
      )
      for (const old of [start, room.add(start, named(bob, 'from old'))]) {
        const state = resolveState(version, [old.state, later.state], room.events)
        for (const entry of ['m.room.power_levels', 'm.room.join_rules', 'm.room.name']) {
          assert.equal(state.get(stateEntry(entry, '')), later.state.get(stateEntry(entry, '')), entry)
        }
        assert.equal(state.get(stateEntry('m.room.member', carol)), later.state.get(stateEntry('m.room.member', carol)))
      }
    })

    it('a user whom a made-up old state shows as joined stays banned, and the room closed', () => {
      const { room, start } = lively(version)
      const closed = room.addAll(start, joinRules(alice, 'invite'), member(alice, 'ban', bob), named(alice, 'closed'))
      // Bob goes on from before the ban, with the state as it was then, and says a great deal there.
      const forked = room.addAll(
        start,
        ...Array.from({ length: 5 }, (_, i) => named(bob, `forked ${i}`)),
        member(bob, 'join', bob, { displayname: 'B' }),
        { ...named(bob, 'far ahead'), originServerTs: 9_000_000 },
      )
      const state = resolveState(version, [forked.state, closed.state, start.state], room.events)
      assert.deepEqual(state, closed.state)
    })

    it('a join that was invited survives the closing of the room', () => {
      const { room, start } = lively(version)
      const closed = room.addAll(start, joinRules(alice, 'invite'))
      const invited = room.addAll(start, member(bob, 'invite', dave), member(dave, 'join'))
      assert.equal(resolved(room, [closed, invited], 'm.room.member', dave), invited.last)
      const uninvited = room.addAll(start, member(dave, 'join'))
      assert.equal(resolved(room, [closed, uninvited], 'm.room.member', dave), undefined)
    })

    it('events that are missing have no say, and nothing is thrown', () => {
      const { room, start, withLevels } = lively(version)
      const one = room.addAll(start, withLevels(alice, { [carol]: 10 }), named(bob, 'one'))
      const two = room.addAll(start, member(bob, 'ban', carol), named(alice, 'two'))
      for (const missing of room.events.keys()) {
        const known = new Map([...room.events].filter(([eventId]) => eventId !== missing))
        resolveState(version, [one.state, two.state], known)
      }
      assert.ok(resolveState(version, [one.state, two.state], new Map()).size < one.state.size)
    })
  })
}

describe('a room of version 1', () => {
  const version = versionOf('1')

  it('takes of disputed power levels the last that those before it allow', () => {
    const { room, start, withLevels } = lively(version)
    const deeper = room.addAll(start, named(alice, 'x'), withLevels(alice, { [bob]: 60 }))
    const shallow = room.addAll(start, withLevels(alice, { [bob]: 40 }))
    assert.equal(resolved(room, [deeper, shallow], 'm.room.power_levels'), deeper.last)
    const refused = room.addAll(start, named(bob, 'x'), { ...withLevels(bob, { [carol]: 50 }) })
    assert.equal(resolved(room, [refused, shallow], 'm.room.power_levels'), shallow.last)
  })

  it('takes of disputed names the deepest that is allowed', () => {
    const { room, start } = lively(version)
    const one = room.add(start, named(bob, 'one'))
    const deeper = room.addAll(start, { type: 'm.room.message', sender: bob }, named(bob, 'deeper'))
    const refused = room.addAll(
      start,
      { type: 'm.a', sender: bob },
      { type: 'm.b', sender: bob },
      named(carol, 'refused'),
    )
    assert.equal(resolved(room, [one, refused, deeper], 'm.room.name'), deeper.last)
  })

  it('has no dispute about what only one state has', () => {
    const { room, start } = lively(version)
    const topic = room.add(start, { type: 'm.room.topic', stateKey: '', sender: carol })
    assert.equal(resolved(room, [start, topic], 'm.room.topic'), topic.last)
  })

  it('resolves a ban and a join in favour of the ban that is deeper', () => {
    const { room, start } = lively(version)
    const banned = room.addAll(start, { type: 'm.room.message', sender: bob }, member(bob, 'ban', carol))
    const joined = room.add(start, member(carol, 'join', carol, { displayname: 'C' }))
    assert.equal(resolved(room, [banned, joined], 'm.room.member', carol), banned.last)
  })
})

describe('a room of version 12', () => {
  const version = versionOf('12')

  it('is resolved from nothing: auth events that were rejected do not vouch for anything', () => {
    const { room, start } = lively(version)
    const renamed = room.add(start, named(bob, 'Bob’s'))
    const nameWhere = (rejected: EventId[]) => {
      const state = resolveState(version, [start.state, renamed.state], room.events, new Set(rejected))
      return room.events.get(state.get(stateEntry('m.room.name', ''))!)?.content.name
    }
    assert.equal(nameWhere([]), 'Bob’s')
    assert.equal(nameWhere([start.state.get(stateEntry('m.room.member', bob))!]), 'start')
  })

  it('keeps what lies between disputed events in mind', () => {
    const { room, start, withLevels } = lively(version)
    // Each of the states lacks a part of one line of changes, so that every link of it is disputed or between such.
    const raised = room.add(start, withLevels(alice, { [carol]: 60 }))
    const cleared = room.add(raised, member(carol, 'leave', bob))
    const after = room.add(cleared, withLevels(carol, { [bob]: 0, [carol]: 60 }))
    const old = new Map(after.state).set(
      stateEntry('m.room.power_levels', ''),
      start.state.get(stateEntry('m.room.power_levels', ''))!,
    )
    assert.deepEqual(resolveState(version, [old, after.state], room.events), after.state)
  })

  it('gives its creators the last word over levels that they did not set', () => {
    const { room, start, withLevels } = lively(version)
    const promoted = room.add(start, withLevels(alice, { [bob]: 1_000_000 }))
    const one = room.add(promoted, joinRules(bob, 'invite'))
    const two = room.add(promoted, joinRules(alice, 'knock'))
    // Alice's comes first, being of more power; Bob's, which is allowed too, comes after it.
    assert.equal(resolved(room, [one, two], 'm.room.join_rules'), one.last)
    const banned = room.add(promoted, member(alice, 'ban', bob))
    assert.equal(resolved(room, [one, banned], 'm.room.join_rules')?.content.join_rule, 'public')
  })
})

/** What somebody does somewhere in a room; what the rules do not allow there does not happen. */
type Step = { from: number; said: Said; forged: boolean }

const users = fc.constantFrom(alice, bob, carol, dave)
const step: fc.Arbitrary<Step> = fc.record({
  from: fc.nat({ max: 30 }),
  said: fc.oneof(
    fc.tuple(users, users, fc.constantFrom('join', 'leave', 'ban', 'invite')).map(([by, of, to]) => member(by, to, of)),
    fc.tuple(users, fc.constantFrom('public', 'invite')).map(([by, rule]) => joinRules(by, rule)),
    fc
      .tuple(users, users, fc.constantFrom(0, 50, 100), fc.constantFrom(0, 50))
      .map(([by, of, level, kick]) => levels(by, { users: { [bob]: 50, [of]: level }, kick })),
    fc.tuple(users, fc.string({ maxLength: 3 })).map(([by, name]) => named(by, name)),
  ),
  forged: fc.boolean(),
})

describe('resolution', () => {
  it('is the same whatever the order of states, of their entries and of the events, and however often a state is there', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ROOM_VERSIONS),
        fc.array(step, { minLength: 4, maxLength: 25 }),
        fc.array(fc.nat({ max: 30 }), { minLength: 2, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        (version, steps, picks, chance) => {
          const { room, start } = lively(version)
          const branches = [start]
          for (const { from, said, forged } of steps) {
            const branch = branches[from % branches.length]!
            const event = room.build(branch, { ...said, originServerTs: 1_000_000 + (from % 3) })
            if (!forged && !authorize(event, version, room.view(branch)).allowed) continue
            const state = new Map(branch.state).set(stateEntry(event.type, event.stateKey!), event.eventId)
            branches.push({ last: event, state })
          }
          const states = picks.map((pick) => branches[pick % branches.length]!.state)
          const shuffled = <T>(items: Iterable<T>): T[] =>
            [...items]
              .map((item) => [chance.next().value!, item] as const)
              .sort(([a], [b]) => a - b)
              .map(([, item]) => item)
          const expected = resolveState(version, states, room.events)
          const copies = shuffled([...states, states[0]!]).map((state): StateMap => new Map(shuffled(state)))
          assert.deepEqual(resolveState(version, copies, new Map(shuffled(room.events))), expected)
          // What all states agree on stays, and what comes out is of the room.
          for (const [entry, eventId] of states[0]!) {
            if (states.every((state) => state.get(entry) === eventId)) assert.equal(expected.get(entry), eventId)
          }
          for (const [entry, eventId] of expected) {
            const event = room.events.get(eventId)!
            assert.equal(stateEntry(event.type, event.stateKey!), entry)
          }
        },
      ),
      { numRuns: 150 },
    )
  })

  it('of one state, of equal states and of none is what they say', () => {
    for (const version of ROOM_VERSIONS) {
      const { room, start } = lively(version)
      assert.deepEqual(resolveState(version, [start.state], room.events), start.state)
      assert.deepEqual(resolveState(version, [start.state, new Map(start.state)], new Map()), start.state)
      assert.deepEqual(resolveState(version, [], room.events), new Map())
    }
  })
})
