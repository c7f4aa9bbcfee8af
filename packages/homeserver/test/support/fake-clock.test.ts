import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from '../../src/platform/clock.ts'
import { createFakeClock } from './fake-clock.ts'

test('time stands still until it is advanced', async () => {
  const clock = createFakeClock(1_000)
  assert.equal(clock.now(), 1_000)
  await clock.advance(250)
  assert.equal(clock.now(), 1_250)
})

test('timers fire in the order of their times, each at its own time', async () => {
  const clock = createFakeClock(0)
  const fired: [string, number][] = []
  const at = (name: string, delayMs: number) => clock.after(delayMs, () => fired.push([name, clock.now()]))
  at('late', 30)
  at('early', 10)
  at('same time, set later', 30)
  at('too late', 31)
  assert.equal(clock.nextTimerAt(), 10)
  await clock.advance(30)
  assert.deepEqual(fired, [
    ['early', 10],
    ['late', 30],
    ['same time, set later', 30],
  ])
  assert.equal(clock.pendingTimers(), 1)
})

test('a cancelled timer does not fire; cancelling twice is nothing', async () => {
  const clock = createFakeClock(0)
  const cancel = clock.after(5, () => assert.fail('fired'))
  cancel()
  cancel()
  await clock.advance(5)
  assert.equal(clock.nextTimerAt(), undefined)
})

test('a timer that is due never fires before the clock is advanced', async () => {
  const clock = createFakeClock(0)
  let fired = false
  clock.after(-5, () => {
    fired = true
  })
  await new Promise(setImmediate)
  assert.equal(fired, false)
  await clock.advance(0)
  assert.equal(fired, true)
  assert.equal(clock.now(), 0)
})

test('promises go on between timers, and timers that they set fire in the same advance', async () => {
  const clock = createFakeClock(0)
  const seen: number[] = []
  const walk = async () => {
    for (let i = 0; i < 5; i++) {
      await sleep(clock, 10)
      await new Promise(setImmediate)
      seen.push(clock.now())
    }
  }
  void walk()
  await clock.advance(45)
  assert.deepEqual(seen, [10, 20, 30, 40])
  await clock.advance(5)
  assert.deepEqual(seen, [10, 20, 30, 40, 50])
})

test('a jump of the clock moves what it shows, not its timers', async () => {
  const clock = createFakeClock(10_000)
  const shown: number[] = []
  clock.after(100, () => shown.push(clock.now()))
  clock.set(3_000)
  assert.equal(clock.now(), 3_000)
  assert.equal(clock.nextTimerAt(), 3_100)
  await clock.advance(99)
  assert.deepEqual(shown, [])
  await clock.advance(1)
  assert.deepEqual(shown, [3_100])
})

test('the given settle runs before, between and after timers', async () => {
  const order: string[] = []
  const clock = createFakeClock(0, { settle: async () => void order.push('settle') })
  clock.after(1, () => order.push('one'))
  clock.after(2, () => order.push('two'))
  await clock.advance(2)
  assert.deepEqual(order, ['settle', 'one', 'settle', 'two', 'settle', 'settle'])
})

test('what a timer throws reaches whoever advances, who may go on', async () => {
  const clock = createFakeClock(0)
  clock.after(1, () => {
    throw new Error('broken')
  })
  await assert.rejects(clock.advance(5), /broken/)
  await clock.advance(5)
  assert.equal(clock.now(), 6)
})

test('it is advanced by one at a time', async () => {
  const clock = createFakeClock(0)
  const first = clock.advance(1)
  await assert.rejects(clock.advance(1), /already/)
  await first
})

test('a loop that never lets time pass is told, not waited for', async () => {
  const clock = createFakeClock(0, { settle: async () => {} })
  const again = () => void clock.after(0, again)
  again()
  await assert.rejects(clock.advance(1), /again and again/)
})

test('a delay that is no number is a mistake', () => {
  assert.throws(() => createFakeClock().after(Number.NaN, () => {}), RangeError)
})
