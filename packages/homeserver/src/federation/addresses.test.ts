import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPublicAddress } from './addresses.ts'

const PUBLIC = ['1.1.1.1', '93.184.216.34', '2606:4700::1111', '::ffff:1.1.1.1', '64:ff9b::101:101', '172.32.0.1']

const SPECIAL = [
  '0.0.0.0',
  '0.1.2.3',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.255',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.2.1',
  '192.168.1.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::a00:1',
  '100::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '2001::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
]

const NONE = ['', 'localhost', 'example.org', '1.2.3', '1.2.3.4.5', '1.2.3.4:80', '[::1]']

test('public addresses', () => {
  for (const address of PUBLIC) assert.equal(isPublicAddress(address), true, address)
})

test('special addresses, also inside of others', () => {
  for (const address of SPECIAL) assert.equal(isPublicAddress(address), false, address)
})

test('what is no address is not public', () => {
  for (const address of NONE) assert.equal(isPublicAddress(address), false, address)
})
