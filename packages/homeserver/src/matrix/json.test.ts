import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalJson, canonicalRequest, entriesOf, nestsTooDeeply, roughSize, tryParseJson } from './json.ts'

/** The examples of the specification. Appendices, "Canonical JSON". */
const examples: [text: string, canonical: string][] = [
  ['{}', '{}'],
  ['{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'],
  ['{"b": "2", "a": "1"}', '{"a":"1","b":"2"}'],
  [
    '{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe", "three_pids": [{"medium": "email", "address": "john.doe@example.org"}, {"medium": "msisdn", "address": "123456789"}]}}}',
    '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}',
  ],
  ['{"a": "日本語"}', '{"a":"日本語"}'],
  ['{"本": 2, "日": 1}', '{"日":1,"本":2}'],
  ['{"a": "\\u65E5"}', '{"a":"日"}'],
  ['{"a": null}', '{"a":null}'],
  ['{"a": -0, "b": 1e10}', '{"a":0,"b":10000000000}'],
]
for (const [text, canonical] of examples) {
  test(`canonical JSON of ${text.slice(0, 40)}`, () => assert.equal(canonicalJson(JSON.parse(text)), canonical))
}

test('canonical JSON has keys in the order of code points, not of UTF-16', () => {
  assert.equal(canonicalJson({ '\u{1f332}': 1, '\uff5e': 2, a: 3 }), '{"a":3,"\uff5e":2,"\u{1f332}":1}')
})

test('canonical JSON escapes what it must, and nothing else', () => {
  assert.equal(canonicalJson('"\\\b\f\n\r\t\0\x1f\x7f/é\u2028'), '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f/é\u2028"')
})

test('canonical JSON has members of any name', () => {
  const value = JSON.parse('{"toString":1,"__proto__":{"b":1,"a":2},"constructor":2}')
  assert.equal(canonicalJson(value), '{"__proto__":{"a":2,"b":1},"constructor":2,"toString":1}')
})

test('canonical JSON knows no numbers but safe integers; requests may hold any', () => {
  assert.equal(canonicalJson([2 ** 53 - 1, -(2 ** 53) + 1]), '[9007199254740991,-9007199254740991]')
  for (const number of [1.5, 2 ** 53, -(2 ** 53), 1e300]) {
    assert.equal(canonicalJson({ a: [number] }), undefined)
    assert.equal(canonicalRequest({ a: [number] }), `{"a":[${number}]}`)
  }
})

/** `[[[…]]]`, so many of them. */
const nested = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth))

test('canonical JSON has no halves of surrogate pairs; requests may', () => {
  for (const value of ['\ud800', { '\udc00': 1 }, ['a', { b: 'c\udbff' }]]) {
    assert.equal(canonicalJson(value), undefined)
    assert.equal(typeof canonicalRequest(value), 'string')
  }
  assert.equal(canonicalJson('\ud83c\udf32'), '"\ud83c\udf32"')
})

test('what nests without end has no canonical form, and is not taken from outside', () => {
  assert.equal(canonicalJson(nested(200)), '['.repeat(200) + ']'.repeat(200))
  assert.equal(canonicalJson(nested(300)), undefined)
  assert.equal(canonicalRequest(nested(1_000)), '['.repeat(1_000) + ']'.repeat(1_000))
  assert.equal(canonicalRequest(nested(1_200)), undefined)
  assert.deepEqual(
    [nestsTooDeeply(nested(100)), nestsTooDeeply(nested(101)), nestsTooDeeply('x')],
    [false, true, false],
  )
  assert.deepEqual(tryParseJson('['.repeat(100_000) + ']'.repeat(100_000)), undefined)
})

test('text that is no JSON is nothing', () => {
  for (const text of ['', '{', 'NaN', "{'a':1}", '[1,]']) assert.equal(tryParseJson(text), undefined)
  assert.equal(tryParseJson('null'), null)
})

test('members are those of the object itself, and of objects only', () => {
  assert.deepEqual(entriesOf(JSON.parse('{"__proto__":1}')), [['__proto__', 1]])
  for (const value of [undefined, null, 'ab', ['a'], 1]) assert.deepEqual(entriesOf(value), [])
})

test('the rough size is near the length of the text', () => {
  const values = ['', 'text', 12, null, [], [1, 2, 'three'], { a: { b: ['c', { d: true }] }, long: 'x'.repeat(1_000) }]
  for (const value of values) {
    const length = JSON.stringify(value).length
    const size = roughSize(value)
    assert.ok(size >= length && size <= length * 2 + 20, `${size} for ${length}`)
  }
})
