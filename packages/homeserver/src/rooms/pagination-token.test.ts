import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BEGINNING,
  comparePlaces,
  formatPlace,
  formatTimelineStart,
  parsePaginationToken,
  placeAfter,
  placeBefore,
} from './pagination-token.ts'

test('a place survives being a token, also before everything', () => {
  for (const place of [{ depth: 12, position: 34 }, { depth: 0, position: -7 }, BEGINNING]) {
    assert.deepEqual(parsePaginationToken(formatPlace(place)), place)
  }
})

test('a token may leave out what came later, and the one of a timeline does', () => {
  const place = { depth: 12, position: 34 }
  assert.deepEqual(parsePaginationToken(formatPlace(place, 40)), { ...place, newest: 40 })
  const start = parsePaginationToken(formatTimelineStart(place))
  assert.deepEqual(start, { depth: 12, position: 33, newest: 33, isTimeline: true })
})

test('tokens of /sync point into its stream', () => {
  assert.deepEqual(parsePaginationToken('s1_42'), { streamPosition: 42 })
  assert.deepEqual(parsePaginationToken('s1_42_17'), { streamPosition: 42 })
})

test('what is no token points nowhere', () => {
  for (const text of ['', 't', 't1', 't1_', 't-1_1', 't1_1 ', 's2_1', 's1_', 's1_1_x', `t1_${'9'.repeat(16)}`]) {
    assert.equal(parsePaginationToken(text), undefined, text)
  }
})

test('right before and right after an event lies nothing but the event', () => {
  const event = { depth: 3, position: -5 }
  assert.ok(comparePlaces(placeBefore(event), placeAfter(event)) < 0)
  assert.ok(comparePlaces(placeAfter({ depth: 2, position: 9 }), placeBefore(event)) < 0)
  assert.equal(comparePlaces(placeAfter({ depth: 3, position: -6 }), placeBefore(event)), 0)
})
