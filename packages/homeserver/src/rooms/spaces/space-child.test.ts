import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../matrix/json.ts'
import { inOrder, readSpaceChild } from './space-child.ts'

const event = (room: string, content: JsonObject, time = 1) => ({
  type: 'm.space.child',
  state_key: `!${room}:hs1`,
  sender: '@alice:hs1',
  content: { via: ['hs1'], ...content },
  origin_server_ts: time,
})
const children = (...events: object[]) => events.map((one) => readSpaceChild(one)!)

test('children stand in their order: by `order` where it is valid, then by time, then by room', () => {
  const sorted = inOrder(
    children(
      event('late', { order: 'x'.repeat(51) }, 3),
      event('b', {}, 2),
      event('a', {}, 2),
      event('second', { order: 'b' }),
      event('first', { order: 'a' }, 9),
      event('unprintable', { order: 'ä' }, 4),
      event('space', { order: ' ' }),
    ),
  )
  assert.deepEqual(
    sorted.map((child) => child.state_key.slice(1, -4)),
    ['space', 'first', 'second', 'a', 'b', 'late', 'unprintable'],
  )
})

test('what is no child', () => {
  const good = event('a', {})
  assert.ok(readSpaceChild(good))
  for (const change of [
    { type: 'm.space.parent' },
    { state_key: 'a' },
    { sender: 'alice' },
    { content: {} },
    { content: { via: [] } },
    { content: { via: 'hs1' } },
    { content: { via: ['not a server'] } },
    { origin_server_ts: '1' },
  ]) {
    assert.equal(readSpaceChild({ ...good, ...change }), undefined, JSON.stringify(change))
  }
})
