import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { onSqlite } from '../support/databases.ts'
import { crashAt } from './crashes.ts'
import { planRun, type Size, sizeOf } from './plan.ts'
import { runSeed } from './run-seed.ts'
import { contentOf, createTruth } from './truth.ts'

// A few runs; `npm run chaos` makes as many as one likes.

const TINY: Size = { evergreens: 2, remotes: 1, usersPerServer: 2, rooms: 2, steps: 40, lastsMs: 120_000 }

onSqlite((database) => {
  for (const seed of [2, 4, 6]) {
    test(`whatever goes wrong, every list becomes right and every client is told: seed ${seed}`, async () => {
      const { rightAfterMs } = await runSeed(seed, database)
      assert.ok(rightAfterMs >= 0)
    })
  }

  test('a server that dies at one of its calls to the database makes good for it when it starts', async (context) => {
    for (const moment of ['before', 'after'] as const) {
      let died = true
      for (let calls = 0; died; calls += 197) {
        await context.test(`${moment} call ${calls}`, async () => {
          died = await crashAt(database, calls, moment)
        })
      }
    }
  })

  test('the same seed does exactly the same again', async () => {
    const [first, again] = [await runSeed(4, database, { size: TINY }), await runSeed(4, database, { size: TINY })]
    assert.ok(first.requests > 50)
    assert.deepEqual(again, first)
  })
})

describe('the plan of a run', () => {
  test('is made of its seed and size alone', () => {
    assert.deepEqual(planRun('a', sizeOf(1)), planRun('a', sizeOf(1)))
    assert.notDeepEqual(planRun('a', sizeOf(1)), planRun('b', sizeOf(1)))
  })

  test('has its steps in the order of their times, and ends all that it begins', () => {
    const { steps } = planRun('a', sizeOf(9))
    assert.deepEqual(
      steps,
      steps.toSorted((a, b) => a.at - b.at),
    )
    const count = (kind: string) => steps.filter((step) => step.kind === kind).length
    assert.equal(count('misbehave'), count('behave'))
    assert.equal(count('kill') + count('stop'), count('start'))
  })
})

describe('what is held against a server', () => {
  const list = (streamId: number, ...deviceIds: string[]) => ({
    streamId,
    deviceKeys: new Map(deviceIds.map((id) => [id, { id }])),
    keyless: [],
    masterKey: null,
    selfSigningKey: null,
  })

  test('is a list that was never true, or older than what it was told; not one that it was not told of', () => {
    const truth = createTruth()
    const [old, middle, now] = [list(1, 'A'), list(2, 'A', 'B'), list(3, 'B')]
    for (const one of [old, middle, now]) truth.record(one)
    assert.equal(truth.problemOf('hs1', contentOf(old)), undefined)
    truth.toldDevices('hs1', 0, 2)
    assert.match(truth.problemOf('hs1', contentOf(old)) ?? '', /older/)
    assert.equal(truth.problemOf('hs2', contentOf(old)), undefined)
    assert.equal(truth.problemOf('hs1', contentOf(now)), undefined)
    assert.match(truth.problemOf('hs1', contentOf(middle)) ?? '', /older/)
    assert.match(truth.problemOf('hs1', contentOf(list(3, 'X'))) ?? '', /never true/)
  })

  test('stream IDs of before a rebuild say nothing of later ones', () => {
    const truth = createTruth()
    truth.record(list(900, 'A'))
    truth.beginEpoch()
    truth.record(list(1, 'A'))
    truth.record(list(2, 'A', 'B'))
    truth.toldDevices('hs1', 0, 900)
    assert.equal(truth.problemOf('hs1', contentOf(list(1, 'A'))), undefined)
  })
})
