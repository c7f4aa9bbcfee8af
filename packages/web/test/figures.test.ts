import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ageNames, breakerOf, countBy, linesOf } from '../src/admin/figures.ts'
import type { Destination, StaleCount } from '../src/api/types.ts'

const server = (more: Partial<Destination>): Destination => ({
  server: 'far.example',
  failures: 0,
  failing_since: null,
  next_attempt_at: null,
  retry_after_until: null,
  last_error: null,
  last_success_at: null,
  last_heard_at: null,
  ...more,
})

test('breakers', () => {
  assert.equal(breakerOf(server({ retry_after_until: 5 }), 10), 'closed')
  assert.equal(breakerOf(server({ failures: 2, retry_after_until: 15 }), 10), 'limited')
  assert.equal(breakerOf(server({ failures: 2 }), 10), 'open')
})

test('counts by name, the most first', () => {
  assert.deepEqual(countBy(['b', 'a', 'c', 'c'], String), [
    ['c', 2],
    ['a', 1],
    ['b', 1],
  ])
  assert.deepEqual(ageNames([60_000, 3_600_000]), ['up to 1 minute', 'up to 1 hour', 'over 1 hour'])
})

test('lines over time: zero where nothing was counted, the rest as one line', () => {
  const count = (at: number, reason: string, n: number): StaleCount => ({ at, reason, age: 0, count: n })
  const counts = [
    count(20, 'gap', 2),
    count(10, 'gap', 1),
    count(10, 'audit', 9),
    count(20, 'gap', 3),
    count(30, '', 0),
  ]
  assert.deepEqual(
    linesOf(counts, ({ reason }) => reason),
    {
      moments: [10, 20, 30],
      lines: [
        { name: 'audit', values: [9, 0, 0] },
        { name: 'gap', values: [1, 5, 0] },
      ],
    },
  )
  const many = ['a', 'b', 'c', 'd'].map((reason, nth) => count(10, reason, 10 - nth))
  assert.deepEqual(linesOf(many, ({ reason }) => reason, 3).lines, [
    { name: 'a', values: [10] },
    { name: 'b', values: [9] },
    { name: 'others', values: [15] },
  ])
})
