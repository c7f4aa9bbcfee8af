import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pdu, RoomEvent } from '../matrix/events.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { trustedEvent } from '../state/read-event.ts'
import { roomVersion } from '../state/room-versions.ts'
import { judgeOutliers } from './outliers.ts'

const version = roomVersion('11')!
const roomId = '!room:far.example' as RoomId
const A = '@a:far.example'

function event(id: string, type: string, auth: string[], more: object = {}): RoomEvent {
  const pdu = {
    type,
    room_id: roomId,
    sender: A,
    state_key: '',
    content: {},
    depth: 1,
    origin_server_ts: 1,
    prev_events: type === 'm.room.create' ? [] : ['$x'],
    auth_events: auth,
    hashes: { sha256: '' },
    signatures: {},
    ...more,
  }
  return trustedEvent(pdu as unknown as Pdu, version, id as EventId)
}
const create = event('$create', 'm.room.create', [], { content: { room_version: '11' } })
const join = event('$join', 'm.room.member', ['$create'], {
  state_key: A,
  prev_events: ['$create'],
  content: { membership: 'join' },
})

/** Event IDs with whether they were rejected; nothing is known before. */
async function judge(events: RoomEvent[]): Promise<[string, boolean][]> {
  const nothing = { load: async () => new Map(), remember: () => {} } as never
  const judged = await judgeOutliers({ events: nothing }, undefined as never, { roomId, version }, events)
  return judged.map(({ event: { eventId }, rejected }) => [eventId, rejected])
}

test('each is judged behind what authorizes it, in whatever order they come', async () => {
  const topic = event('$topic', 'm.room.topic', ['$create', '$join'])
  const expected = [
    ['$create', false],
    ['$join', false],
    ['$topic', false],
  ]
  assert.deepEqual(await judge([create, join, topic]), expected)
  assert.deepEqual(await judge([topic, join, create]), expected)
})

test('what a rejected event authorizes is rejected', async () => {
  const bad = event('$bad', 'm.room.power_levels', ['$create'])
  const topic = event('$topic', 'm.room.topic', ['$create', '$join', '$bad'])
  assert.deepEqual(await judge([create, join, bad, topic]), [
    ['$create', false],
    ['$join', false],
    ['$bad', true],
    ['$topic', true],
  ])
})

test('what lacks something, is part of a cycle, or is of another room is not judged', async () => {
  const orphan = event('$orphan', 'm.room.topic', ['$create', '$nowhere'])
  const one = event('$one', 'm.room.topic', ['$two'])
  const two = event('$two', 'm.room.topic', ['$one'])
  const own = event('$own', 'm.room.topic', ['$own'])
  const foreign = event('$foreign', 'm.room.topic', ['$create'], { room_id: '!other:far.example' })
  assert.deepEqual(await judge([create, orphan, one, two, own, foreign]), [['$create', false]])
})

test('a chain of ten thousand takes one pass', async () => {
  const chain = [create]
  for (let n = 0; n < 10_000; n++) chain.push(event(`$e${n}`, 'm.room.topic', [chain.at(-1)!.eventId]))
  assert.equal((await judge(chain.reverse())).length, 10_001)
})
