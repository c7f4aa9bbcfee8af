import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGather } from './gather.ts'

function gathering(fails: (items: readonly number[]) => boolean = () => false) {
  const taken: (readonly number[])[] = []
  const gather = createGather<number>(
    async (items) => {
      taken.push(items)
      if (fails(items)) throw new Error(`no ${items}`)
    },
    { sizeOf: (item) => item, most: 10 },
  )
  return { taken, gather }
}

test('what comes within one turn is taken together, in order; what comes later, later', async () => {
  const { taken, gather } = gathering()
  await Promise.all([1, 2, 3].map(gather))
  await Promise.all([4, 5].map(gather))
  assert.deepEqual(taken, [
    [1, 2, 3],
    [4, 5],
  ])
})

test('no more is taken together than the limit; one that is larger is taken by itself', async () => {
  const { taken, gather } = gathering()
  await Promise.all([4, 6, 1, 20, 2, 3].map(gather))
  assert.deepEqual(taken, [[4, 6], [1], [20], [2, 3]])
})

test('where many fail together, each is taken by itself, and only the one that fails fails', async () => {
  const { taken, gather } = gathering((items) => items.includes(2))
  const outcomes = await Promise.allSettled([1, 2, 3].map(gather))
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.deepEqual(taken, [[1, 2, 3], [1], [2], [3]])
})
