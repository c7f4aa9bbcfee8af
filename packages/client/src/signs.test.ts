import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type SeenUser, signsOf } from './signs.ts'

const device = (deviceId: string, ...signedBy: string[]) => ({
  deviceId,
  identityKey: `curve of ${deviceId}`,
  signedBy,
})
const event = (deviceId: string | null, senderKey: string | null) => ({
  roomId: '!room',
  eventId: '$event',
  deviceId,
  senderKey,
})
const user = (seen: Partial<SeenUser>): SeenUser => ({
  devices: [device('A', 'ed25519:A', 'ed25519:self')],
  selfSigningKeyId: 'ed25519:self',
  undecryptable: [],
  failedServer: undefined,
  ...seen,
})

test('a list with a signed device looks fresh, and so does one of a user without cross-signing', () => {
  assert.deepEqual(signsOf(user({})), [])
  assert.deepEqual(signsOf(user({ devices: [device('A', 'ed25519:self'), device('B', 'ed25519:B')] })), [])
  assert.deepEqual(signsOf(user({ devices: [device('A', 'ed25519:A')], selfSigningKeyId: undefined })), [])
})

test('cross-signing keys, but no signatures by them', () => {
  const devices = [device('A', 'ed25519:A'), device('B', 'ed25519:B', 'ed25519:another')]
  assert.deepEqual(signsOf(user({ devices })), [{ sign: 'unsignedDevices', deviceIds: ['A', 'B'] }])
})

test('no devices, unless the reason is a server that could not be asked', () => {
  assert.deepEqual(signsOf(user({ devices: [] })), [{ sign: 'noDevices' }])
  assert.deepEqual(signsOf(user({ devices: [], failedServer: 'down.example' })), [
    { sign: 'serverFailure', serverName: 'down.example' },
  ])
})

test('an undecryptable event counts if its device is not in the list, by its identity key if it has one', () => {
  const known = [event('A', 'curve of A'), event('Z', 'curve of A'), event('A', null), event(null, null)]
  assert.deepEqual(signsOf(user({ undecryptable: known })), [])
  const unknown = [event('A', 'another curve'), event('Z', null)]
  assert.deepEqual(signsOf(user({ undecryptable: [...known, ...unknown] })), [
    { sign: 'unknownSenderDevice', events: unknown },
  ])
})
