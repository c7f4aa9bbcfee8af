import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createTimedCache } from './timed-cache.ts'

test('values are good for their time, which begins again when they are set again', async () => {
  const clock = createFakeClock()
  const cache = createTimedCache<number>(clock, 10)
  cache.set('a', 1, 1_000)
  await clock.advance(999)
  assert.equal(cache.get('a'), 1)
  cache.set('a', 2, 1_000)
  await clock.advance(999)
  assert.equal(cache.get('a'), 2)
  await clock.advance(1)
  assert.equal(cache.get('a'), undefined)
})

test('a value that is deleted is gone, one that was never there as well', () => {
  const cache = createTimedCache<number>(createFakeClock(), 10)
  cache.set('a', 1, 1_000)
  cache.delete('a')
  assert.deepEqual([cache.get('a'), cache.get('toString')], [undefined, undefined])
})

test('a clock that jumps back makes values expire', () => {
  const clock = createFakeClock()
  const cache = createTimedCache<number>(clock, 10)
  cache.set('a', 1, 1_000)
  clock.set(clock.now() - 1)
  assert.equal(cache.get('a'), undefined)
})

test('of too many values the one used least recently goes', () => {
  const cache = createTimedCache<number>(createFakeClock(), 2)
  cache.set('a', 1, 1_000)
  cache.set('b', 2, 1_000)
  cache.get('a')
  cache.set('c', 3, 1_000)
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => cache.get(key)),
    [1, undefined, 3],
  )
})
