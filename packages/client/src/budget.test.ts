import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBudget } from './budget.ts'

test('four in half a minute for one user, and the fifth when the first is half a minute ago', () => {
  const budget = createBudget(29)
  for (const now of [0, 1_000, 2_000, 3_000]) {
    assert.equal(budget.waitMs('@bob:b', now), 0)
    budget.spend('@bob:b', now)
  }
  assert.equal(budget.waitMs('@bob:b', 4_000), 26_000)
  assert.equal(budget.waitMs('@carol:c', 4_000), 0)
  assert.equal(budget.waitMs('@bob:b', 30_000), 0)
})

test('so many in a minute for all, never more than the homeserver allows', () => {
  for (const [wanted, allowed] of [
    [3, 3],
    [1_000, 29],
  ] as const) {
    const budget = createBudget(wanted)
    for (let i = 0; i < allowed; i++) {
      assert.equal(budget.waitMs(`@u${i}:b`, i), 0)
      budget.spend(`@u${i}:b`, i)
    }
    assert.equal(budget.waitMs('@next:b', 1_000), 59_000)
    assert.equal(budget.waitMs('@next:b', 60_000), 0)
  }
})
