import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonResponse, textResponse } from '../../test/support/responses.ts'
import { type Delegation, delegationAfter } from './well-known.ts'

const NOW = 784_111_777_000
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const valid = { 'm.server': 'matrix.example:443' }

const lifetimes: [name: string, status: number, headers: Record<string, string>, lifetime: number][] = [
  ['by default a day', 200, {}, 24 * HOUR],
  ['max-age', 200, { 'cache-control': 'public, max-age=7200' }, 2 * HOUR],
  ['max-age before Expires', 200, { 'cache-control': 'max-age=120', expires: '0' }, 2 * MINUTE],
  ['at most two days', 200, { 'cache-control': 'max-age=99999999' }, 48 * HOUR],
  ['at least a minute', 200, { 'cache-control': 'max-age=0' }, MINUTE],
  ['no-store', 200, { 'cache-control': 'no-store' }, MINUTE],
  ['Expires', 200, { expires: 'Sun, 06 Nov 1994 09:49:37 GMT' }, HOUR],
  ['an unreadable Expires', 200, { expires: '0' }, MINUTE],
  ['none: an hour', 404, {}, HOUR],
  ['none: less if it says so', 404, { 'cache-control': 'max-age=300' }, 5 * MINUTE],
  ['none: an hour at most', 404, { 'cache-control': 'max-age=86400' }, HOUR],
]

for (const [name, status, headers, lifetime] of lifetimes) {
  test(`a .well-known answer is kept: ${name}`, () => {
    const after = delegationAfter(jsonResponse(status, valid, headers), undefined, NOW)
    assert.equal(after.until - NOW, lifetime)
    assert.equal(after.name, status === 200 ? 'matrix.example:443' : undefined)
  })
}

test('an answer that names no server is as good as none', () => {
  for (const text of [
    '',
    'no JSON',
    '[]',
    '{}',
    '{"m.server":5}',
    '{"m.server":"https://a.example"}',
    '{"m.server":""}',
  ]) {
    const { name, until } = delegationAfter(textResponse(200, text), undefined, NOW)
    assert.equal(name, undefined, text)
    assert.equal(until - NOW, HOUR, text)
  }
})

test('the type of the answer does not matter', () => {
  const answer = textResponse(200, JSON.stringify(valid), { 'content-type': 'text/plain' })
  assert.equal(delegationAfter(answer, undefined, NOW).name, 'matrix.example:443')
})

test('a host that cannot be asked is asked again at growing intervals, up to an hour', () => {
  const waits: number[] = []
  let known: Delegation | undefined
  let now = NOW
  for (let count = 0; count < 9; count++) {
    known = delegationAfter(count % 2 ? undefined : textResponse(503, ''), known, now)
    waits.push((known.until - now) / MINUTE)
    now = known.until
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60])
  assert.equal(delegationAfter(jsonResponse(200, valid), known, now).failures, 0)
})

test('a delegation outlives a host that cannot be asked, for two days', () => {
  const known = delegationAfter(jsonResponse(200, valid), undefined, NOW)
  const later = delegationAfter(undefined, known, NOW + 47 * HOUR)
  assert.equal(later.name, 'matrix.example:443')
  assert.equal(delegationAfter(undefined, later, NOW + 48 * HOUR).name, undefined)
})

test('a delegation that is taken back is gone', () => {
  const known = delegationAfter(jsonResponse(200, valid), undefined, NOW)
  assert.equal(delegationAfter(textResponse(404, ''), known, NOW + HOUR).name, undefined)
})
