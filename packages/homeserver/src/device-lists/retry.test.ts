import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { completeSettings } from '../config/defaults.ts'
import type { FetchFailure } from './failure.ts'
import { retryDelay } from './retry.ts'

const settings = completeSettings({}).deviceLists
const failure = (kind: FetchFailure['kind']): FetchFailure => ({
  kind,
  status: null,
  errcode: null,
  message: null,
  detail: '',
  at: 0,
})
const delay = (kind: FetchFailure['kind'], attempts: number, doubtAgeMs: number, awaited: boolean) =>
  retryDelay({ failure: failure(kind), attempts, doubtAgeMs, awaited }, settings, 1 - Number.EPSILON)
const MINUTE = 60_000

describe('retryDelay', () => {
  it('grows from two seconds and stays under twenty during the first ten minutes', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 50].map((n) => delay('down', n, 0, false)),
      [2000, 4000, 8000, 16000, 20000, 20000],
    )
  })

  it('is capped at ten minutes while somebody waits, else at an hour', () => {
    assert.equal(delay('down', 50, 11 * MINUTE, true), 10 * MINUTE)
    assert.equal(delay('invalid', 50, 11 * MINUTE, false), 60 * MINUTE)
  })

  it('backs off from a user whom the remote refuses, up to a day', () => {
    assert.equal(delay('refused', 5, 0, true), 32_000)
    assert.equal(delay('refused', 50, 0, true), 24 * 60 * MINUTE)
  })

  it('is jittered downwards by a quarter at most', () => {
    const least = retryDelay({ failure: failure('down'), attempts: 1, doubtAgeMs: 0, awaited: false }, settings, 0)
    assert.equal(least, 1500)
  })
})
