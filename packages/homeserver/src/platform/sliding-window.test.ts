import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createSlidingWindow } from './sliding-window.ts'

test('lets so many through in any window, and says when the next one fits', async () => {
  const clock = createFakeClock()
  const window = createSlidingWindow(clock, { limit: 2, windowMs: 1_000 })
  assert.equal(window.take('a'), 0)
  await clock.advance(400)
  assert.deepEqual([window.take('a'), window.take('a'), window.take('b')], [0, 600, 0])
  await clock.advance(599)
  assert.equal(window.take('a'), 1)
  await clock.advance(1)
  assert.deepEqual([window.take('a'), window.take('a')], [0, 400])
})

test('to ask how long counts nothing', async () => {
  const clock = createFakeClock()
  const window = createSlidingWindow(clock, { limit: 1, windowMs: 1_000 })
  for (let n = 0; n < 3; n++) assert.equal(window.wait('a'), 0)
  window.take('a')
  for (let n = 0; n < 3; n++) assert.equal(window.wait('a'), 1_000)
  await clock.advance(1_000)
  assert.equal(window.take('a'), 0)
})

test('a clock that jumps back locks nobody out', () => {
  const clock = createFakeClock()
  const window = createSlidingWindow(clock, { limit: 1, windowMs: 1_000 })
  window.take('a')
  clock.set(clock.now() - 3_600_000)
  assert.deepEqual([window.take('a'), window.take('a')], [0, 1_000])
})

test('of too many keys the one used least recently is forgotten', () => {
  const window = createSlidingWindow(createFakeClock(), { limit: 1, windowMs: 1_000 }, 2)
  for (const key of ['a', 'b', 'c']) window.take(key)
  assert.deepEqual([window.wait('b'), window.wait('c')], [1_000, 1_000])
  assert.equal(window.wait('a'), 0)
})
