import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  decodeBase64,
  encodeBase64,
  signatureOf,
  signingKeyFromSeed,
  signJson,
  signText,
  verifyJson,
  verifyKeyFrom,
  verifyText,
} from './signing.ts'

/** The test vectors of the specification. Appendices, "Cryptographic Test Vectors". */
const key = signingKeyFromSeed('ed25519:1', decodeBase64('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1'))
const vectors: [object: object, signature: string][] = [
  [{}, 'K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ'],
  [{ one: 1, two: 'Two' }, 'KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw'],
]

test('signatures are those of the specification', () => {
  for (const [object, signature] of vectors) {
    assert.deepEqual(signJson(object, 'domain', key), { ...object, signatures: { domain: { 'ed25519:1': signature } } })
  }
})

const publicKey = verifyKeyFrom(key.publicKey)!
const signed = signJson({ a: { b: [1, 'ä'] } }, 'domain', key)
const isGood = (object: object, signer = 'domain', keyId = 'ed25519:1', by = publicKey) =>
  verifyJson(object, signer, keyId, by)

test('an object is signed without its signatures and unsigned part', () => {
  assert.ok(isGood(signed))
  assert.ok(isGood({ unsigned: { age: 1.5 }, ...signed, signatures: { ...signed.signatures, other: { x: 'y' } } }))
  assert.ok(isGood(JSON.parse(JSON.stringify(signed))))
})

test('a signature is good for its object, signer and key only', () => {
  assert.ok(!isGood({ ...signed, more: 1 }))
  assert.ok(!isGood({ ...signed, a: { b: [1, 'a'] } }))
  assert.ok(!isGood(signed, 'other'))
  assert.ok(!isGood(signed, 'domain', 'ed25519:2'))
  const other = verifyKeyFrom(signingKeyFromSeed('ed25519:1', Buffer.alloc(32)).publicKey)!
  assert.ok(!isGood(signed, 'domain', 'ed25519:1', other))
})

test('an object that has no canonical form has no good signature, and cannot be signed', () => {
  assert.ok(!isGood({ ...signed, a: 1.5 }))
  assert.throws(() => signJson({ a: 1.5 }, 'domain', key), TypeError)
})

test('signatures are added to those that are there, and the given object is left alone', () => {
  const twice = signJson(signed, 'other', { ...key, keyId: 'ed25519:x' })
  const again = signJson(twice, 'domain', { ...key, keyId: 'ed25519:y' })
  assert.deepEqual(Object.keys(signed.signatures), ['domain'])
  assert.ok(isGood(again) && isGood(again, 'other', 'ed25519:x') && isGood(again, 'domain', 'ed25519:y'))
})

test('signatures of any other shape are none', () => {
  for (const signatures of [
    undefined,
    null,
    [],
    'x',
    { domain: 1 },
    { domain: ['x'] },
    { domain: { 'ed25519:1': 1 } },
  ]) {
    assert.equal(signatureOf({ signatures }, 'domain', 'ed25519:1'), undefined)
    assert.ok(!isGood({ ...signed, signatures }))
  }
  assert.equal(signatureOf({ signatures: {} }, '__proto__', 'toString'), undefined)
  assert.equal(signatureOf({ signatures: { domain: {} } }, 'domain', 'toString'), undefined)
})

test('a signature that is no signature is not good, and nothing is thrown', () => {
  const signature = signText('text', key)
  assert.ok(verifyText('text', signature, publicKey))
  assert.ok(verifyText('text', `${signature}==`, publicKey))
  for (const bad of ['', 'AAAA', '%%%', signature.slice(1), 'A'.repeat(86)]) {
    assert.ok(!verifyText('text', bad, publicKey), bad)
  }
})

test('what is no key of 32 bytes is none', () => {
  for (const text of ['', 'AAAA', `${key.publicKey}AAAA`]) assert.equal(verifyKeyFrom(text), undefined)
})

test('base64 is written without padding, and read in every form', () => {
  assert.deepEqual(
    ['', 'f', 'fo', 'foo'].map((text) => encodeBase64(Buffer.from(text))),
    ['', 'Zg', 'Zm8', 'Zm9v'],
  )
  for (const text of ['+/+/Zg', '-_-_Zg', '+/+/Zg==']) assert.equal(encodeBase64(decodeBase64(text)), '+/+/Zg', text)
})
