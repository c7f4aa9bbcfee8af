import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ServerName } from '../matrix/ids.ts'
import { signingKeyFromSeed, signJson } from '../matrix/signing.ts'
import { readKeyResponse } from './key-response.ts'

const SERVER = 'far.example' as ServerName
const NOW = 1_000_000_000_000
const DAY = 24 * 3_600_000
const random = createSeededRandom('keys')
const [one, two] = ['ed25519:1', 'ed25519:2'].map((keyId) => signingKeyFromSeed(keyId, random.bytes(32)))

const listOf = (...keys: (typeof one)[]) => Object.fromEntries(keys.map((key) => [key!.keyId, { key: key!.publicKey }]))

/** What a good server answers, but for some members; signed by all of `signers`. */
function answer(changes: object = {}, signers = [one!]): object {
  const body = { server_name: SERVER, valid_until_ts: NOW + DAY, verify_keys: listOf(one), ...changes }
  return signers.reduce((signed, key) => signJson(signed, SERVER, key), body)
}

const read = (body: unknown) => readKeyResponse(body, SERVER, NOW)

test('the keys of a server, each with the time until which it is good', () => {
  const keys = read(answer({ verify_keys: listOf(one, two) }, [one!, two!]))
  assert.ok(typeof keys !== 'string')
  const seen = keys.map(({ keyId, publicKey, validUntil }) => ({ keyId, publicKey, validUntil }))
  assert.deepEqual(
    seen,
    [one!, two!].map(({ keyId, publicKey }) => ({ keyId, publicKey, validUntil: NOW + DAY })),
  )
})

test('no key is good for longer than a week', () => {
  const keys = read(answer({ valid_until_ts: NOW + 30 * DAY }))
  assert.ok(typeof keys !== 'string')
  assert.equal(keys[0]!.validUntil, NOW + 7 * DAY)
})

test('old keys, each with the time until which it was good; what cannot be used is passed over', () => {
  const old = {
    [two!.keyId]: { key: two!.publicKey, expired_ts: NOW - DAY },
    [one!.keyId]: { key: one!.publicKey, expired_ts: NOW - DAY },
    'ed25519:future': { key: two!.publicKey, expired_ts: NOW + DAY },
    'ed25519:timeless': { key: two!.publicKey },
    'ed25519:bad': { key: 'AAAA', expired_ts: NOW },
    'ed25519:none': null,
  }
  const keys = read(answer({ old_verify_keys: old }))
  assert.ok(typeof keys !== 'string')
  assert.deepEqual(
    keys.map(({ keyId, validUntil, isOld }) => [keyId, validUntil, isOld]),
    [
      [one!.keyId, NOW + DAY, false],
      [two!.keyId, NOW - DAY, true],
      ['ed25519:future', NOW, true],
    ],
  )
})

test('keys of other algorithms are passed over', () => {
  const keys = read(answer({ verify_keys: { ...listOf(one), 'rsa:1': { key: 'x' }, 'ed25519:3': 'no object' } }))
  assert.ok(typeof keys !== 'string')
  assert.deepEqual(
    keys.map(({ keyId }) => keyId),
    [one!.keyId],
  )
})

const forged = { ...two!, keyId: one!.keyId }
const wrong: [name: string, body: unknown][] = [
  ['nothing', undefined],
  ['a list', []],
  ['the keys of another server', answer({ server_name: 'other.example' })],
  ['no time until which they are good', answer({ valid_until_ts: undefined })],
  ['a time that is a text', answer({ valid_until_ts: String(NOW + DAY) })],
  ['no keys', answer({ verify_keys: {} })],
  ['only old keys', answer({ verify_keys: {}, old_verify_keys: listOf(one) })],
  ['no signature', answer({}, [])],
  ['the signature of another key', answer({}, [forged])],
  ['a key that did not sign', answer({ verify_keys: listOf(one, two) })],
  ['a key that is too short', answer({ verify_keys: { [one!.keyId]: { key: 'AAAA' } } })],
  ['a key with garbage in it', answer({ verify_keys: { [one!.keyId]: { key: `\0${one!.publicKey}` } } })],
  ['something changed after signing', { ...answer(), valid_until_ts: NOW + 2 * DAY }],
  ['something added after signing', { ...answer(), more: 1 }],
  ['signatures that are no object', { ...answer(), signatures: [] }],
]
for (const [name, body] of wrong) {
  test(`refused: ${name}`, () => assert.equal(typeof read(body), 'string'))
}

test('key IDs that cannot be kept are passed over', () => {
  const odd = ['ed25519:', 'ed25519:a\0b', 'ed25519:a b', `ed25519:${'x'.repeat(300)}`]
  const keys = odd.map((keyId) => ({ ...two!, keyId }))
  assert.equal(typeof read(answer({ verify_keys: listOf(...keys) }, keys)), 'string')
})
