import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { alice, bob, versionOf } from '../../../test/support/test-events.ts'
import { type RoomEvent, stateEntry } from '../../matrix/events.ts'
import type { EventId, RoomId, UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { authChain, authDifference, conflictedSubgraph } from './auth-graph.ts'
import { createHeap } from './heap.ts'
import { mainlineOrder } from './mainline-order.ts'
import { reverseTopologicalPowerOrder } from './power-order.ts'
import { resolveState } from './resolve-state.ts'

const version = versionOf('2')

/** An event as short as it can be told: an ID, what it rests on, and what matters of the rest. */
function event(id: string, authEvents: string[], more: Partial<RoomEvent> = {}): RoomEvent {
  return {
    eventId: id as EventId,
    roomId: '!room:a.example' as RoomId,
    type: 'm.room.topic',
    stateKey: '',
    sender: alice,
    content: {},
    depth: 1,
    originServerTs: 1,
    prevEvents: [],
    authEvents: authEvents as EventId[],
    redacts: undefined,
    pdu: {} as RoomEvent['pdu'],
    ...more,
  }
}

const levelsEvent = (id: string, authEvents: string[], users: JsonObject = {}, originServerTs = 1) =>
  event(id, authEvents, { type: 'm.room.power_levels', content: { users }, originServerTs })

const mapOf = (...events: RoomEvent[]) => new Map(events.map((one) => [one.eventId, one]))
const ids = (...texts: string[]) => new Set(texts as EventId[])
const idsOf = (events: readonly RoomEvent[]) => events.map((one) => one.eventId)

describe('the graph of auth events', () => {
  //  a ← b ← c ← d    a ← x
  const events = mapOf(
    event('a', []),
    event('b', ['a']),
    event('c', ['b']),
    event('d', ['c', 'gone']),
    event('x', ['a']),
  )

  it('has the auth chain of an event, of what is known', () => {
    assert.deepEqual(authChain(ids('d', 'x'), events), ids('c', 'b', 'a'))
    assert.deepEqual(authChain(ids('d'), events, ids('b', 'a')), ids('c'))
  })

  it('has what lies between two events, and nothing else', () => {
    assert.deepEqual(new Set(conflictedSubgraph(ids('d', 'b'), events)), ids('d', 'c', 'b'))
    assert.deepEqual(new Set(conflictedSubgraph(ids('d', 'x'), events)), ids('d', 'x'))
  })

  it('has the difference of the auth chains of states', () => {
    const state = (topic: string) => new Map([[stateEntry('m.room.topic', ''), topic as EventId]])
    assert.deepEqual(new Set(authDifference([state('d'), state('x')], new Map(), events)), ids('c', 'b'))
    const agreed = new Map([[stateEntry('m.room.name', ''), 'b' as EventId]])
    const states = [state('d'), state('x')].map((one) => new Map([...one, ...agreed]))
    assert.deepEqual(authDifference(states, agreed, events), ['c'])
  })
})

describe('the power order', () => {
  it('has auth events first, then greater power, then the earlier, then the smaller ID', () => {
    const events = mapOf(
      levelsEvent('p', [], { [alice]: 100, [bob]: 50 }),
      event('z-alice', ['p'], { originServerTs: 9 }),
      event('a-bob', ['p'], { sender: bob, originServerTs: 1 }),
      event('c-bob', ['p'], { sender: bob, originServerTs: 2 }),
      event('b-bob', ['p'], { sender: bob, originServerTs: 2 }),
      event('after', ['p', 'b-bob'], { originServerTs: 0 }),
    )
    const order = reverseTopologicalPowerOrder(new Set(events.keys()), version, events)
    assert.deepEqual(idsOf(order), ['p', 'z-alice', 'a-bob', 'b-bob', 'after', 'c-bob'])
  })

  it('respects what lies between two events without being one of them', () => {
    const events = mapOf(event('m', [], { originServerTs: 9 }), event('n', ['m']), event('a', ['n']))
    assert.deepEqual(idsOf(reverseTopologicalPowerOrder(ids('a', 'm'), version, events)), ['m', 'a'])
  })

  it('ends where auth events go round', () => {
    const events = mapOf(event('a', ['b']), event('b', ['a']), event('c', []), event('d', ['a', 'c']))
    const order = reverseTopologicalPowerOrder(new Set(events.keys()), version, events)
    assert.deepEqual(idsOf(order), ['c', 'a', 'b', 'd'])
  })
})

describe('the mainline order', () => {
  it('has first what rests on older power levels, and before all what rests on none of the line', () => {
    const events = mapOf(
      levelsEvent('p1', []),
      levelsEvent('p2', ['p1']),
      levelsEvent('p3', ['p2']),
      levelsEvent('off', ['p1']),
      event('on p3', ['p3'], { originServerTs: 1 }),
      event('on p1, later', ['p1'], { originServerTs: 3 }),
      event('on off', ['off'], { originServerTs: 2 }),
      event('on none', [], { originServerTs: 9 }),
      event('on p2', ['p2'], { originServerTs: 7 }),
      event('as early', ['p2'], { originServerTs: 7 }),
    )
    const toSort = [...events.values()].filter((one) => one.type === 'm.room.topic')
    const order = idsOf(mainlineOrder(toSort, events.get('p3' as EventId), events))
    assert.deepEqual(order, ['on none', 'on off', 'on p1, later', 'as early', 'on p2', 'on p3'])
    assert.deepEqual(idsOf(mainlineOrder(toSort.toReversed(), events.get('p3' as EventId), events)), order)
    assert.equal(mainlineOrder(toSort, undefined, events)[0]?.eventId, 'on p3')
  })

  it('ends where power levels go round', () => {
    const events = mapOf(
      levelsEvent('p1', ['p2']),
      levelsEvent('p2', ['p1']),
      levelsEvent('q1', ['q2']),
      levelsEvent('q2', ['q1']),
    )
    const topics = [event('t', ['q1']), event('u', ['p2'])]
    assert.deepEqual(idsOf(mainlineOrder(topics, events.get('p1' as EventId), events)), ['t', 'u'])
  })
})

describe('long histories', () => {
  it('resolve without running out of stack or time', () => {
    const creator = event('create', [], { type: 'm.room.create', content: { creator: alice } })
    const join = event('join', ['create'], { type: 'm.room.member', stateKey: alice, content: { membership: 'join' } })
    const chain = Array.from({ length: 30_000 }, (_, i) =>
      levelsEvent(`p${i}`, ['create', 'join', ...(i > 0 ? [`p${i - 1}`] : [])], { [alice]: 100 }, i),
    )
    const members = Array.from({ length: 5000 }, (_, i) => {
      const user = `@u${i}:a.example` as UserId
      const content = { membership: 'leave' }
      return event(`m${i}`, ['create', `p${i}`], { type: 'm.room.member', stateKey: user, sender: user, content })
    })
    const events = mapOf(creator, join, ...chain, ...members)
    const shared: [string, EventId][] = [creator, join, ...members].map((one) => [
      stateEntry(one.type, one.stateKey!),
      one.eventId,
    ])
    const at = (levels: string) => new Map([...shared, [stateEntry('m.room.power_levels', ''), levels as EventId]])
    for (const id of ['2', '12']) {
      const rules = { ...versionOf(id), roomIdIsCreateEvent: false, privilegedCreators: false, creatorInContent: true }
      const resolved = resolveState(rules, [at('p0'), at('p29999')], events)
      assert.equal(resolved.get(stateEntry('m.room.power_levels', '')), 'p29999')
      assert.equal(resolved.size, shared.length + 1)
    }
  })
})

it('a heap gives back what it was given, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.array(fc.integer()), (first, second) => {
      const heap = createHeap<number>((a, b) => a < b)
      for (const item of first) heap.push(item)
      const smallest = heap.pop()
      assert.equal(smallest, first.length > 0 ? Math.min(...first) : undefined)
      for (const item of second) heap.push(item)
      const left = [...first.toSorted((a, b) => a - b).slice(1), ...second].sort((a, b) => a - b)
      assert.deepEqual(
        left.map(() => heap.pop()),
        left,
      )
      assert.equal(heap.pop(), undefined)
    }),
  )
})
