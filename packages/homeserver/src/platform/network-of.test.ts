import assert from 'node:assert/strict'
import { test } from 'node:test'
import { networkOf } from './network-of.ts'

test('a subscriber with many IPv6 addresses counts as one', () => {
  assert.equal(networkOf('2001:db8:1:2:3:4:5:6'), networkOf('2001:db8:1:2::9'))
  assert.notEqual(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:3::1'))
  assert.equal(networkOf('fe80::1%eth0'), networkOf('fe80::2'))
})

test('an IPv4 address is itself, however it is written', () => {
  assert.deepEqual(['192.0.2.1', '::ffff:192.0.2.1', 'no address'].map(networkOf), [
    '192.0.2.1',
    '192.0.2.1',
    'no address',
  ])
})
