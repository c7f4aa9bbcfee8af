import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRemoteUser } from '../../homeserver/test/support/remote-user.ts'
import { createSeededRandom } from '../../homeserver/test/support/seeded-random.ts'
import type { KeysAnswer } from '../src/api/types.ts'
import { canonicalJson, personKeys } from '../src/people/trust.ts'

const [BOB, ALICE] = ['@bob:far.example', '@alice:here.example']

/** Bob with a signed and an unsigned device, as his own server would tell. */
function bobsKeys(): KeysAnswer {
  const bob = createRemoteUser(createSeededRandom('trust'), BOB)
  bob.addDevice('PHONE', { displayName: 'Phone' })
  bob.addDevice('TABLET')
  bob.setCrossSigning()
  bob.signDevice('PHONE')
  const { masterKey, selfSigningKey } = bob.identity!
  const devices = [...bob.devices].map(([deviceId, { deviceKeys }]) => [deviceId, deviceKeys])
  return {
    device_keys: { [BOB]: Object.fromEntries(devices) },
    master_keys: { [BOB]: masterKey as never },
    self_signing_keys: { [BOB]: selfSigningKey as never },
  }
}
const marks = async (answer: KeysAnswer) =>
  Object.fromEntries((await personKeys(answer, BOB, ALICE)).devices.map((one) => [one.deviceId, one.mark]))

test('devices that their owner has signed, and others', async () => {
  const keys = await personKeys(bobsKeys(), BOB, ALICE)
  assert.deepEqual(
    keys.devices.map(({ mark }) => mark),
    ['signed', 'unsigned'],
  )
  assert.deepEqual([keys.crossSigning, keys.verifiedByYou, keys.checked], [true, false, true])
})

test('a signature over something else is none', async () => {
  const answer = bobsKeys()
  const phone = answer.device_keys![BOB]!.PHONE!
  phone.keys['curve25519:PHONE'] = 'AAAA'
  assert.equal((await marks(answer)).PHONE, 'forged')
})

test('a self-signing key that the master key has not signed signs nothing', async () => {
  const answer = bobsKeys()
  delete answer.self_signing_keys![BOB]!.signatures
  assert.deepEqual(await marks(answer), { PHONE: 'noCrossSigning', TABLET: 'noCrossSigning' })
})

test('a browser that cannot check says so', async () => {
  const keys = await personKeys(bobsKeys(), BOB, ALICE, async () => undefined)
  assert.deepEqual([keys.devices[0]!.mark, keys.checked], ['signed', false])
})

test('nobody, and nothing', async () => {
  const keys = await personKeys({}, BOB, ALICE)
  assert.deepEqual(keys, { devices: [], crossSigning: false, verifiedByYou: false, checked: true })
})

test('canonical JSON', () => {
  assert.equal(canonicalJson({ b: [1, { d: null, c: 'x' }], a: true }), '{"a":true,"b":[1,{"c":"x","d":null}]}')
})
