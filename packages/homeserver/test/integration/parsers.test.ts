import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readUpdate } from '../../src/device-lists/decide.ts'
import { failureOf } from '../../src/device-lists/failure.ts'
import { readSnapshot } from '../../src/device-lists/snapshot.ts'
import { readClaims } from '../../src/devices/claim.ts'
import { readKeyQuery } from '../../src/devices/query.ts'
import { readKeyResponse } from '../../src/federation/key-response.ts'
import { delegationAfter } from '../../src/federation/well-known.ts'
import { parseHttpDate } from '../../src/matrix/http-date.ts'
import { isUserId, parseServerName, type ServerName, type UserId } from '../../src/matrix/ids.ts'
import { canonicalJson, canonicalRequest, tryParseJson } from '../../src/matrix/json.ts'
import { parseRetryAfter } from '../../src/matrix/retry-after.ts'
import { formatXMatrix, parseXMatrix } from '../../src/matrix/x-matrix.ts'
import { parseToken } from '../../src/sync/token.ts'
import { readMessages } from '../../src/to-device/to-device.ts'
import { garbageText, garbageValue, spoilt } from '../support/garbage.ts'
import { createSeededRandom } from '../support/seeded-random.ts'
import { createTestDevice, createTestIdentity } from '../support/test-keys.ts'

// What reads the words of others takes anything: it gives a value or says no, and never throws.

const NOW = 1_790_000_000_000
const BOB = '@bob:far.example' as UserId
const FAR = 'far.example' as ServerName
const random = createSeededRandom('parsers')
const device = createTestDevice(random, BOB, 'PHONE')
const identity = createTestIdentity(random, BOB)
const list = {
  user_id: BOB,
  stream_id: 5,
  devices: [{ device_id: 'PHONE', keys: device.deviceKeys, device_display_name: 'phone' }, { device_id: 'OLD' }],
  master_key: identity.masterKey,
  self_signing_key: identity.selfSigningKey,
}

const body = (text: string) => ({ status: 200, headers: {}, body: Buffer.from(text) })

const ofText: Record<string, (text: string) => unknown> = {
  parseXMatrix,
  parseServerName,
  isUserId,
  parseHttpDate,
  parseToken,
  tryParseJson,
  'Retry-After': (text) => parseRetryAfter({ 'retry-after': text }, undefined, NOW),
  'the headers of a delegation': (text) =>
    delegationAfter({ ...body('{}'), headers: { 'cache-control': text, expires: text } }, undefined, NOW),
  'a delegation': (text) => delegationAfter(body(text), undefined, NOW),
}

const ofJson: Record<string, (value: unknown) => unknown> = {
  canonicalJson,
  canonicalRequest,
  readSnapshot: (value) => readSnapshot(value, BOB),
  readUpdate: (value) => readUpdate(Object(value), BOB, true),
  readClaims,
  readKeyQuery,
  readMessages,
  readKeyResponse: (value) => readKeyResponse(value, FAR, NOW),
  failureOf: (value) => failureOf({ kind: 'answer', status: 403, headers: {}, body: value }, NOW),
  retry_after_ms: (value) => parseRetryAfter({}, value, NOW),
}

for (const [name, read] of Object.entries(ofText)) {
  test(`${name} takes any text`, () => {
    const text = fc.oneof(garbageText, fc.string({ unit: 'binary', maxLength: 60 }))
    fc.assert(
      fc.property(text, (given) => void read(given)),
      { numRuns: 500, seed: 1 },
    )
  })
}

for (const [name, read] of Object.entries(ofJson)) {
  test(`${name} takes any JSON`, () => {
    fc.assert(
      fc.property(fc.oneof(garbageValue(), spoilt(list)), (given) => void read(given)),
      { numRuns: 500, seed: 1 },
    )
  })
}

test('a list that is read has devices with keys of their own, whatever was spoilt in it', () => {
  let taken = 0
  const property = fc.property(spoilt(list), (given) => {
    const reading = readSnapshot(given, BOB)
    if (!reading.ok) return
    taken++
    for (const [deviceId, keys] of reading.snapshot.deviceKeys) {
      assert.deepEqual([keys.user_id, keys.device_id], [BOB, deviceId])
    }
  })
  fc.assert(property, { numRuns: 500, seed: 1 })
  assert.ok(taken > 50, `${taken}`)
})

test('a header that we write is read as it was meant', () => {
  const sig = fc.base64String()
  const property = fc.property(sig, fc.stringMatching(/^ed25519:[a-zA-Z0-9_]{1,20}$/), (signature, keyId) => {
    fc.pre(signature !== '')
    const header = { origin: FAR, destination: 'hs1:8448' as ServerName, keyId, signature }
    assert.deepEqual(parseXMatrix(formatXMatrix(header)), header)
  })
  fc.assert(property, { numRuns: 200, seed: 1 })
})
