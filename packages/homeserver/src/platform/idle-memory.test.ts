import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createIdleCollection } from './idle-memory.ts'

test('garbage is collected once after the start, and once after each busy time, when that is over', async () => {
  const clock = createFakeClock()
  let used = 0
  let collected = 0
  const loop = createIdleCollection({
    clock,
    usedMs: () => used,
    collect: () => collected++,
    onError: (error) => assert.fail(String(error)),
  })
  /** Lets time pass, of which the process uses a part. */
  const seconds = async (count: number, part: number) => {
    for (let n = 0; n < count; n++) {
      used += part * 1_000
      await clock.advance(1_000)
    }
  }

  loop.start()
  await seconds(5, 0.9)
  assert.equal(collected, 0, 'not while it is busy')
  await seconds(200, 0.001)
  assert.equal(collected, 1, 'an idle process has nothing left to collect')
  await seconds(10, 0.5)
  await seconds(10, 0.001)
  assert.equal(collected, 2)
  await seconds(3, 0.5)
  await seconds(5, 0.001)
  assert.equal(collected, 2, 'soon after the last time it rests')
  await seconds(20, 0.001)
  assert.equal(collected, 3)
  await loop.stop()
})
