import assert from 'node:assert/strict'
import { test } from 'node:test'
import { passesFilter, type RoomEventFilter } from './room-event-filter.ts'

const event = { type: 'm.room.message', sender: '@a:hs', roomId: '!r:hs', content: { url: 'mxc://hs/x' } }
const passes = (filter: RoomEventFilter, more: object = {}) => passesFilter(filter, { ...event, ...more })

test('what is wanted passes, and what is unwanted does not, even if it is wanted', () => {
  assert.ok(passes({}))
  assert.ok(passes({ types: ['m.room.name', 'm.room.message'], senders: ['@a:hs'], rooms: ['!r:hs'] }))
  assert.ok(!passes({ types: [] }))
  assert.ok(!passes({ senders: ['@b:hs'] }))
  assert.ok(!passes({ not_rooms: ['!r:hs'], rooms: ['!r:hs'] }))
  assert.ok(!passes({ types: ['m.*'], not_types: ['m.room.*'] }))
})

test('a star in a type stands for any characters, nowhere else', () => {
  for (const [pattern, expected] of [
    ['*', true],
    ['m.*.message', true],
    ['m.room.message*', true],
    ['*e*e*', true],
    ['m.*.m*.m', false],
    ['m.room', false],
  ] as const) {
    assert.equal(passes({ types: [pattern] }), expected, pattern)
  }
  assert.ok(!passes({ senders: ['@*'] }))
})

test('a url is a text', () => {
  assert.ok(passes({ contains_url: true }) && !passes({ contains_url: false }))
  assert.ok(passes({ contains_url: false }, { content: { url: 1 } }))
})
