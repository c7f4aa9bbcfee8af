import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatToken, parseToken } from './token.ts'

describe('sync token', () => {
  it('comes back as it went out', () => {
    for (const token of [
      { position: 1, toDevice: 1 },
      { position: 90_000, toDevice: 12 },
    ]) {
      assert.deepEqual(parseToken(formatToken(token)), token)
    }
  })

  for (const text of ['', 's1_', 's2_5', '5', 's1_-1', 's1_5_', 's1_1e5', 's1_5 ', 's1_9999999999999999', 's1_5_6_7']) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseToken(text), undefined))
  }

  it('never stands further for to-device messages than for everything', () => {
    assert.deepEqual(parseToken('s1_5_9'), { position: 5, toDevice: 5 })
  })
})
