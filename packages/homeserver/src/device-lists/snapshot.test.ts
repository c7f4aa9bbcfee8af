import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { UserId } from '../matrix/ids.ts'
import { digestOf, MAX_DEVICES, readSnapshot, type Snapshot } from './snapshot.ts'

const bob = '@bob:remote.example' as UserId
const device = (id: string) => ({
  device_id: id,
  device_display_name: `${id} of bob`,
  keys: { user_id: bob, device_id: id, algorithms: [], keys: { [`ed25519:${id}`]: 'x' }, signatures: {} },
})
const crossSigning = (usage: string, userId: string = bob) => ({
  user_id: userId,
  usage: [usage],
  keys: { 'ed25519:abc': 'abc' },
})
const good = { user_id: bob, stream_id: 5, devices: [device('A'), device('B')] }

function read(body: unknown): Snapshot {
  const reading = readSnapshot(body, bob)
  assert.ok(reading.ok, 'why' in reading ? reading.why : '')
  return reading.snapshot
}

describe('readSnapshot', () => {
  it('reads devices with and without keys, and cross-signing keys', () => {
    const list = read({
      ...good,
      devices: [device('A'), { device_id: 'B' }, { device_id: 'C', keys: {} }],
      master_key: crossSigning('master'),
      self_signing_key: crossSigning('self_signing'),
    })
    assert.deepEqual([...list.deviceKeys.keys()], ['A'])
    assert.deepEqual(list.keyless, ['B', 'C'])
    assert.deepEqual(list.deviceKeys.get('A')?.unsigned, { device_display_name: 'A of bob' })
    assert.equal(list.masterKey?.user_id, bob)
    assert.equal(list.selfSigningKey?.user_id, bob)
  })

  it('takes an empty list', () => assert.equal(read({ ...good, devices: [] }).deviceKeys.size, 0))

  it('keeps the devices and drops a master key with two keys, and says so', () => {
    const twoKeys = { ...crossSigning('master'), keys: { 'ed25519:a': 'a', 'ed25519:b': 'b' } }
    const reading = readSnapshot({ ...good, master_key: twoKeys }, bob)
    assert.ok(reading.ok)
    assert.equal(reading.snapshot.masterKey, null)
    assert.equal(reading.snapshot.deviceKeys.size, 2)
    assert.match(reading.dropped.join(), /master_key/)
  })

  for (const [name, body] of Object.entries({
    'something that is no object': [],
    nothing: undefined,
    'the list of another user': { ...good, user_id: '@eve:remote.example' },
    'no stream_id': { ...good, stream_id: undefined },
    'a stream_id that is text': { ...good, stream_id: '5' },
    'no devices': { ...good, devices: undefined },
    'a device twice': { ...good, devices: [device('A'), device('A')] },
    'a device twice, once without keys': { ...good, devices: [device('A'), { device_id: 'A' }] },
    'a device without an ID': { ...good, devices: [{ keys: device('A').keys }] },
    'keys of another device': { ...good, devices: [{ device_id: 'A', keys: device('B').keys }] },
    'keys that are no object': { ...good, devices: [{ device_id: 'A', keys: 'x' }] },
    'a cross-signing key of another user': { ...good, master_key: crossSigning('master', '@eve:remote.example') },
    'a key with a fraction in it': { ...good, devices: [{ ...device('A'), keys: { ...device('A').keys, x: 0.5 } }] },
    'too many devices': {
      ...good,
      devices: Array.from({ length: MAX_DEVICES + 1 }, (_, i) => ({ device_id: `D${i}` })),
    },
  })) {
    it(`refuses ${name}`, () => assert.equal(readSnapshot(body, bob).ok, false))
  }

  it('never throws, whatever it is given', () => {
    const anything = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.jsonValue({ maxDepth: 3 }),
        fc.dictionary(
          fc.constantFrom('user_id', 'stream_id', 'devices', 'keys', 'device_id', '__proto__'),
          tie('value'),
        ),
      ),
    })).value
    fc.assert(fc.property(anything, (body) => typeof readSnapshot(body, bob).ok === 'boolean'))
    fc.assert(
      fc.property(fc.array(anything), (devices) => typeof readSnapshot({ ...good, devices }, bob).ok === 'boolean'),
    )
  })

  it('is not led astray by a device called __proto__', () => {
    const list = read(JSON.parse(JSON.stringify({ ...good, devices: [device('A')] }).replaceAll('"A"', '"__proto__"')))
    assert.deepEqual([...list.deviceKeys.keys()], ['__proto__'])
    assert.equal(({} as Record<string, unknown>).user_id, undefined)
  })
})

describe('digestOf', () => {
  it('does not depend on the order of devices, on names, or on devices without keys', () => {
    const one = digestOf(read(good))
    assert.equal(digestOf(read({ ...good, devices: [device('B'), device('A'), { device_id: 'C' }] })), one)
    assert.equal(
      digestOf(read({ ...good, devices: [device('A'), { ...device('B'), device_display_name: 'new' }] })),
      one,
    )
  })

  it('differs with a device, a key or a cross-signing key', () => {
    const digests = [
      read(good),
      read({ ...good, devices: [device('A')] }),
      read({ ...good, master_key: crossSigning('master') }),
      read({ ...good, self_signing_key: crossSigning('self_signing') }),
    ].map(digestOf)
    assert.equal(new Set(digests).size, digests.length)
  })
})
