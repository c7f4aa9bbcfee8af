import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createBudget } from './budget.ts'
import { type RefreshOutcome, unsupported } from './outcome.ts'
import { createRefreshQueue } from './refresh-queue.ts'

const ARRIVED: RefreshOutcome = { outcome: 'arrived', devices: new Map() }
const limited = (retryAfterMs: number): RefreshOutcome => ({ ...unsupported(), reason: 'limited', retryAfterMs })

/** A queue under a clock that is advanced by hand, and requests that are answered by hand. */
function startQueue(t: TestContext, perMinute = 29) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const asked: { userId: string; signal: AbortSignal; answer: (outcome: RefreshOutcome) => Promise<void> }[] = []
  const errors: unknown[] = []
  const told: string[] = []
  const queue = createRefreshQueue({
    refresh: (userId, signal) =>
      new Promise((resolve) => {
        const answer = (outcome: RefreshOutcome) => {
          resolve(outcome)
          return turn()
        }
        asked.push({ userId, signal, answer })
      }),
    budget: createBudget(perMinute),
    onRefresh: ({ userId, outcome }) => told.push(`${userId} ${outcome.outcome}`),
    onError: (error) => errors.push(error),
  })
  const advance = (ms: number) => {
    t.mock.timers.tick(ms)
    return turn()
  }
  return { queue, asked, told, errors, advance, users: () => asked.map(({ userId }) => userId) }
}

test('four at a time, one per user, and a doubt that comes during a request is asked about after it', async (t) => {
  const { queue, asked, users, told } = startQueue(t)
  for (const userId of ['a', 'b', 'c', 'd', 'e', 'a', 'a']) queue.add(userId, 'staleList')
  assert.deepEqual(users(), ['a', 'b', 'c', 'd'])
  await asked[0]!.answer(ARRIVED)
  assert.deepEqual(users(), ['a', 'b', 'c', 'd', 'e'])
  await asked[1]!.answer(ARRIVED)
  assert.deepEqual(users(), ['a', 'b', 'c', 'd', 'e', 'a'])
  await Promise.all(asked.map(({ answer }) => answer(ARRIVED)))
  assert.equal(asked.length, 6)
  assert.equal(told.length, 6)
})

test('what is beyond the budget waits, and what the homeserver finds too much is asked again after its wait', async (t) => {
  const { queue, asked, users, advance } = startQueue(t, 2)
  for (const userId of ['a', 'b', 'c']) queue.add(userId, 'staleList')
  await advance(59_000)
  assert.deepEqual(users(), ['a', 'b'])
  await advance(1_000)
  assert.deepEqual(users(), ['a', 'b', 'c'])

  await asked[2]!.answer(limited(5_000))
  queue.add('d', 'staleList')
  await advance(4_999)
  assert.equal(asked.length, 3)
  await advance(1)
  assert.deepEqual(users().slice(3), ['c'], 'one more is within the budget')
})

test('whoever waits for a request joins one that is under way, and waits no longer than they want to', async (t) => {
  const { queue, asked, advance } = startQueue(t)
  queue.add('a', 'staleList')
  let done = 0
  const count = () => void done++
  queue.addAndWait('a', 'verificationRequest', 5_000).then(count)
  queue.addAndWait('b', 'verificationRequest', 5_000).then(count)
  assert.equal(asked.length, 2)
  await asked[0]!.answer(ARRIVED)
  assert.equal(done, 1)
  await advance(5_000)
  assert.equal(done, 2)
})

test('a queue that is stopped gives up what is under way, and starts nothing more', async (t) => {
  const { queue, asked, errors, advance } = startQueue(t, 1)
  queue.add('a', 'staleList')
  const waiting = queue.addAndWait('b', 'verificationRequest', 5_000)
  queue.stop()
  await waiting
  assert.ok(asked[0]!.signal.aborted)
  queue.add('c', 'staleList')
  await advance(120_000)
  assert.equal(asked.length, 1)
  assert.deepEqual(errors, [])
})
