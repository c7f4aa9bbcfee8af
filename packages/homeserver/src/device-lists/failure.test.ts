import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cleanText } from '../matrix/clean-text.ts'
import type { FederationAnswer } from '../matrix/federation.ts'
import { failureOf } from './failure.ts'
import { describeFailure } from './relay.ts'

const answer = (status: number, body?: unknown): FederationAnswer => ({ kind: 'answer', status, headers: {}, body })
const failed = (failure: 'timeout' | 'tls' | 'name' | 'connection' | 'too_large'): FederationAnswer => ({
  kind: 'failure',
  failure,
  detail: '10.0.0.1 refused',
})
const relayed = (given: FederationAnswer) => describeFailure(failureOf(given, 0), 'remote.example')

describe('what a client is told of a failed fetch', () => {
  it('passes a refusal on, introduced by the name of the server', () => {
    assert.deepEqual(relayed(answer(403, { errcode: 'M_FORBIDDEN', error: 'go away' })), {
      status: 403,
      errcode: 'M_FORBIDDEN',
      error: 'remote.example: go away',
    })
    assert.equal(relayed(answer(404, { errcode: 'M_NOT_FOUND', error: 'who?' })).status, 404)
  })

  it('never passes on what would log the client out', () => {
    for (const errcode of ['M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN', 'M_USER_DEACTIVATED', 'M_GUEST_ACCESS_FORBIDDEN']) {
      assert.equal(relayed(answer(403, { errcode, error: '' })).errcode, 'M_FORBIDDEN')
    }
    assert.deepEqual(
      [relayed(answer(401, { errcode: 'M_UNKNOWN_TOKEN' }))].map((e) => [e.status, e.errcode]),
      [[502, 'M_UNKNOWN']],
    )
  })

  it('has one answer for all that must not be told apart', () => {
    const same = [
      answer(400, { errcode: 'M_UNKNOWN', error: 'internal 10.0.0.1' }),
      answer(301),
      answer(500),
      answer(503, { error: 'secret' }),
      answer(404),
      answer(404, { errcode: 'M_UNRECOGNIZED' }),
      failed('tls'),
      failed('name'),
      failed('connection'),
      failed('too_large'),
    ].map(relayed)
    assert.equal(new Set(same.map((error) => JSON.stringify(error))).size, 1)
    assert.equal(same[0]?.status, 502)
    assert.equal(same[0]?.errcode, 'M_UNKNOWN')
  })

  it('tells a time-out and a limit by their own status', () => {
    assert.deepEqual([relayed(failed('timeout')).status, relayed(failed('timeout')).errcode], [504, 'M_UNKNOWN'])
    assert.deepEqual([relayed(answer(429)).status, relayed(answer(429)).errcode], [429, 'M_LIMIT_EXCEEDED'])
  })

  it('takes odd errcodes and texts for what they are', () => {
    assert.equal(relayed(answer(403, { errcode: 7, error: {} })).errcode, 'M_FORBIDDEN')
    assert.equal(relayed(answer(403, { errcode: '<script>' })).errcode, 'M_FORBIDDEN')
  })
})

describe('cleanText', () => {
  it('drops control and bidirectional characters and stops at 200 characters', () => {
    assert.equal(cleanText('a\u0000b\u202ec\u2066d\n\u200fe'), 'abcde')
    assert.equal(Array.from(cleanText('😀'.repeat(500))).length, 200)
  })
})
