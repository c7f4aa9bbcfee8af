import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { createWorkerLoop, type PassResult, type WorkerLoop } from './worker-loop.ts'

const NOTHING: PassResult = { more: false, nextAt: null }

let clock: FakeClock
let passes: number
let errors: unknown[]
let pass: (signal: AbortSignal) => Promise<PassResult>
let loop: WorkerLoop

beforeEach(() => {
  clock = createFakeClock()
  passes = 0
  errors = []
  pass = async () => NOTHING
  loop = createWorkerLoop({
    clock,
    pass(signal) {
      passes++
      return pass(signal)
    },
    onError: (error) => errors.push(error),
  })
})

test('looks once at the start, whatever it was woken for before', async () => {
  loop.wake()
  await clock.advance(0)
  assert.equal(passes, 0)
  loop.start()
  await clock.advance(3_600_000)
  assert.equal(passes, 1)
})

test('looks at least as often as it is told to', async () => {
  let seen = 0
  const counting = createWorkerLoop({
    clock,
    pass: async () => ({ more: ++seen % 2 === 1, nextAt: null }),
    onError: () => {},
    lookEveryMs: () => 10_000,
  })
  counting.start()
  await clock.advance(9_999)
  assert.equal(seen, 2)
  await clock.advance(1)
  assert.equal(seen, 4)
  await counting.stop()
  await clock.advance(20_000)
  assert.equal(seen, 4)
})

test('goes on as long as there is more', async () => {
  pass = async () => ({ more: passes < 5, nextAt: null })
  loop.start()
  await clock.advance(0)
  assert.equal(passes, 5)
})

test('looks again when it is woken, or when the time has come', async () => {
  pass = async () => ({ more: false, nextAt: passes === 1 ? clock.now() + 1_000 : null })
  loop.start()
  await clock.advance(999)
  assert.equal(passes, 1)
  await clock.advance(1)
  assert.equal(passes, 2)
  loop.wake()
  await clock.advance(0)
  assert.equal(passes, 3)
})

test('being woken takes the place of the time it waits for', async () => {
  pass = async () => ({ more: false, nextAt: passes === 1 ? clock.now() + 1_000 : null })
  loop.start()
  await clock.advance(500)
  loop.wake()
  await clock.advance(10_000)
  assert.equal(passes, 2)
  assert.equal(clock.pendingTimers(), 0)
})

test('passes never overlap, and a wake-up during one is not lost', async () => {
  const { promise, resolve } = Promise.withResolvers<PassResult>()
  pass = () => promise
  loop.start()
  for (let n = 0; n < 10; n++) loop.wake()
  await clock.advance(0)
  assert.equal(passes, 1)
  pass = async () => NOTHING
  resolve(NOTHING)
  await clock.advance(0)
  assert.equal(passes, 2)
})

for (let turns = 0; turns < 10; turns++) {
  test(`a wake-up ${turns} turns after a pass began is not lost`, async () => {
    pass = async () => {
      if (passes === 1) void later(turns).then(loop.wake)
      return NOTHING
    }
    loop.start()
    await clock.advance(0)
    assert.equal(passes, 2)
  })
}

async function later(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await undefined
}

test('after a pass that threw it says so, and goes on a little later', async () => {
  const broken = new Error('broken')
  pass = async () => {
    if (passes === 1) throw broken
    return NOTHING
  }
  loop.start()
  await clock.advance(4_999)
  assert.deepEqual([passes, errors], [1, [broken]])
  await clock.advance(1)
  assert.deepEqual([passes, errors], [2, [broken]])
})

test('stopping aborts a running pass, waits for its end, and nothing runs afterwards', async () => {
  let ended = false
  pass = (signal) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        clock.after(100, () => {
          ended = true
          reject(new Error('aborted'))
        })
      })
    })
  loop.start()
  await clock.advance(0)
  let stopped = false
  const stopping = loop.stop().then(() => {
    stopped = true
  })
  await clock.advance(99)
  assert.deepEqual([ended, stopped], [false, false])
  await clock.advance(1)
  await stopping
  loop.wake()
  await clock.advance(3_600_000)
  assert.deepEqual([passes, errors, clock.pendingTimers()], [1, [], 0])
})

test('stopping ends a wait', async () => {
  pass = async () => ({ more: false, nextAt: clock.now() + 1_000 })
  loop.start()
  await clock.advance(0)
  await loop.stop()
  assert.equal(clock.pendingTimers(), 0)
})
