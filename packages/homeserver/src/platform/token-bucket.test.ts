import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createTokenBucket } from './token-bucket.ts'

test('lets so many through at once, then one at a time', async () => {
  const clock = createFakeClock()
  const bucket = createTokenBucket(clock, { limit: 3, windowMs: 3_000 })
  assert.deepEqual(
    [1, 2, 3, 4].map(() => bucket.take('a')),
    [0, 0, 0, 1_000],
  )
  assert.equal(bucket.take('b'), 0)
  await clock.advance(999)
  assert.equal(bucket.take('a'), 1)
  await clock.advance(1)
  assert.deepEqual([bucket.take('a'), bucket.take('a')], [0, 1_000])
  await clock.advance(60_000)
  assert.deepEqual(
    [1, 2, 3, 4].map(() => bucket.take('a')),
    [0, 0, 0, 1_000],
  )
})

test('a clock that jumps back locks nobody out for longer than a window', () => {
  const clock = createFakeClock()
  const bucket = createTokenBucket(clock, { limit: 2, windowMs: 2_000 })
  bucket.take('a')
  clock.set(clock.now() - 3_600_000)
  assert.equal(bucket.take('a'), 0)
})
