import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHttpDate } from './http-date.ts'
import { LONGEST_WAIT_MS, parseRetryAfter } from './retry-after.ts'

/** Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110. */
const EXAMPLE = 784_111_777_000

test('the three forms of an HTTP date', () => {
  assert.equal(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT'), EXAMPLE)
  assert.equal(parseHttpDate('Sunday, 06-Nov-94 08:49:37 GMT'), EXAMPLE)
  assert.equal(parseHttpDate('Sun Nov  6 08:49:37 1994'), EXAMPLE)
})

test('what is no HTTP date', () => {
  for (const text of [
    '',
    '0',
    '-1',
    '1994-11-06T08:49:37Z',
    'Sun, 06 Nov 1994 08:49:37 +0200',
    'Sun, 99 Nov 1994 08:49:37 GMT',
  ]) {
    assert.equal(parseHttpDate(text), undefined, text)
  }
})

const cases: [name: string, header: string | undefined, body: unknown, wait: number | undefined][] = [
  ['nothing', undefined, undefined, undefined],
  ['seconds', '7', undefined, 7_000],
  ['fractions of seconds', '0.5', undefined, 500],
  ['zero', '0', undefined, 0],
  ['a date', 'Sun, 06 Nov 1994 08:50:37 GMT', undefined, 60_000],
  ['a date that is over', 'Sun, 06 Nov 1994 08:48:37 GMT', undefined, 0],
  ['milliseconds in the body', undefined, { retry_after_ms: 1_500.5 }, 1_501],
  ['the larger counts: the body', '1', { retry_after_ms: 2_000 }, 2_000],
  ['the larger counts: the header', '3', { retry_after_ms: 2_000 }, 3_000],
  ['at most a day', '999999999999999', undefined, LONGEST_WAIT_MS],
  ['at most a day, by the body', undefined, { retry_after_ms: 1e300 }, LONGEST_WAIT_MS],
  ['a negative number', '-5', { retry_after_ms: -5 }, 0],
  ['garbage', 'soon', { retry_after_ms: 'soon' }, undefined],
  ['garbage beside a number', 'soon', { retry_after_ms: 5 }, 5],
  ['a body that is no object', undefined, [5], undefined],
]

for (const [name, header, body, wait] of cases) {
  test(`a wait that a server asks for: ${name}`, () => {
    const headers: Record<string, string> = header === undefined ? {} : { 'retry-after': header }
    assert.equal(parseRetryAfter(headers, body, EXAMPLE), wait)
  })
}
