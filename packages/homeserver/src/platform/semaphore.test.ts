import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createPatientSemaphore, createRounds, createSemaphore, type Semaphore } from './semaphore.ts'

/** Asks for permits for so many tasks at once. @returns them, to be ended by the test, which have started, and what comes of each */
function begin<T>(permits: Semaphore, count: number) {
  const tasks = Array.from({ length: count }, () => Promise.withResolvers<T>())
  const started: number[] = []
  const all = tasks.map(({ promise }, n) =>
    permits.run(() => {
      started.push(n)
      return promise
    }),
  )
  return { tasks, started, all }
}

test('so many run at the same time, the others in the order of asking', async () => {
  const permits = createSemaphore(2)
  const { tasks, started, all } = begin<void>(permits, 5)
  await nextTurn()
  assert.deepEqual(started, [0, 1])
  tasks[1]!.resolve()
  await nextTurn()
  assert.deepEqual(started, [0, 1, 2])
  for (const { resolve } of tasks) resolve()
  await Promise.all(all)
  assert.deepEqual(started, [0, 1, 2, 3, 4])
})

test('a task that fails says so, and gives its permit back', async () => {
  const permits = createSemaphore(1)
  const failing = [1, 2].map((n) => permits.run(() => Promise.reject(new Error(`${n}`))))
  await assert.rejects(failing[0]!, /1/)
  await assert.rejects(failing[1]!, /2/)
  assert.equal(await permits.run(async () => 'done'), 'done')
})

test('who asks just when a permit comes free does not push in, and there is never one too many', async () => {
  const permits = createSemaphore(1)
  let running = 0
  const order: string[] = []
  const task = (name: string) => async () => {
    assert.equal(++running, 1)
    order.push(name)
    await nextTurn()
    running--
  }
  const first = permits.run(task('first'))
  const second = permits.run(task('second'))
  const third = first.then(() => permits.run(task('third')))
  await Promise.all([second, third])
  assert.deepEqual(order, ['first', 'second', 'third'])
})

test('patient: who takes long holds up others for so long only, and there is a bound to those as well', async () => {
  const clock = createFakeClock()
  const permits = createPatientSemaphore(clock, { permits: 1, patienceMs: 5_000, most: 3 })
  const { tasks, started, all } = begin<number>(permits, 4)
  await clock.advance(4_999)
  assert.deepEqual(started, [0])
  await clock.advance(1)
  assert.deepEqual(started, [0, 1])
  tasks[1]!.reject(new Error('no'))
  await assert.rejects(all[1]!, /no/)
  await clock.advance(0)
  assert.deepEqual(started, [0, 1, 2])
  await clock.advance(5_000)
  assert.deepEqual(started, [0, 1, 2, 3])
  assert.equal(permits.isAwaited(), false)
  for (const [n, { resolve }] of tasks.entries()) resolve(n)
  assert.deepEqual(await Promise.all([all[0], all[2], all[3]]), [0, 2, 3])
})

test('rounds: places that came free meanwhile are given out together, in the order of asking, when others have had their turn', async () => {
  const rounds = createRounds(2)
  const order: string[] = []
  const task = (name: string) => async () => {
    order.push(`${name} begins`)
    await null
    order.push(`${name} ends`)
  }
  setImmediate(() => order.push('others'))
  await Promise.all(['a', 'b', 'c', 'd'].map((name) => rounds.run(task(name))))
  assert.deepEqual(order, [
    ...['a begins', 'b begins', 'a ends', 'b ends'],
    'others',
    ...['c begins', 'd begins', 'c ends', 'd ends'],
  ])
})

test('rounds: a task that takes long holds only its own place, and one that fails gives it back', async () => {
  const rounds = createRounds(2)
  const { promise, resolve } = Promise.withResolvers<void>()
  const long = rounds.run(() => promise)
  await assert.rejects(
    rounds.run(() => Promise.reject(new Error('no'))),
    /no/,
  )
  assert.deepEqual(await Promise.all([1, 2, 3].map((n) => rounds.run(async () => n))), [1, 2, 3])
  resolve()
  await long
})
