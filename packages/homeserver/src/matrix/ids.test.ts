import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isEventId,
  isNewLocalpart,
  isRoomAlias,
  isRoomId,
  isServerName,
  isUserId,
  localpartOf,
  parseServerName,
  type ServerName,
  serverNameOf,
  type UserId,
  userIdOf,
} from './ids.ts'

test('server names, taken apart', () => {
  const cases: [name: string, host: string, port: number | undefined, kind: string][] = [
    ['matrix.org', 'matrix.org', undefined, 'name'],
    ['matrix.org:8888', 'matrix.org', 8888, 'name'],
    ['localhost', 'localhost', undefined, 'name'],
    ['1.2.3.4', '1.2.3.4', undefined, 'ipv4'],
    ['1.2.3.4:1234', '1.2.3.4', 1234, 'ipv4'],
    ['1.2.3', '1.2.3', undefined, 'name'],
    ['[1234:5678::abcd]', '1234:5678::abcd', undefined, 'ipv6'],
    ['[1234:5678::abcd]:5678', '1234:5678::abcd', 5678, 'ipv6'],
    ['[::ffff:1.2.3.4]:65535', '::ffff:1.2.3.4', 65535, 'ipv6'],
  ]
  for (const [name, host, port, kind] of cases) assert.deepEqual(parseServerName(name), { host, port, kind }, name)
})

test('what is no server name', () => {
  const wrong = [
    '',
    ':8448',
    'a.example:',
    'a.example:0',
    'a.example:65536',
    'a.example:-1',
    'a.example:1:2',
    'a.example/',
    'a.example\n',
    'user@a.example',
    'ä.example',
    'a_b.example',
    '::1',
    '[::1',
    '[1.2.3.4]',
    '[::1%eth0]',
    '[]',
    'a'.repeat(231),
  ]
  for (const name of wrong) assert.equal(parseServerName(name), undefined, name)
  for (const value of [undefined, null, 1, ['a.example']]) assert.equal(isServerName(value), false)
})

test('user IDs, historical ones too', () => {
  for (const id of ['@a:b.example', '@a:b.example:8448', '@A b\u{1f332}/:b', '@:b', `@${'a'.repeat(251)}:bb`]) {
    assert.ok(isUserId(id), id)
  }
})

test('what is no user ID', () => {
  const wrong: unknown[] = [
    '',
    'a:b.example',
    '@a',
    '@a:',
    '@a:b c',
    '@a:b:c',
    '@a\0:b',
    '@\ud800:b',
    '#a:b.example',
    `@${'a'.repeat(252)}:bb`,
    `@${'ä'.repeat(126)}:bb`,
    undefined,
    null,
    ['@a:b'],
  ]
  for (const id of wrong) assert.ok(!isUserId(id), String(id))
})

test('parts of a user ID', () => {
  const id = '@a:b.example:1' as UserId
  assert.deepEqual([localpartOf(id), serverNameOf(id)], ['a', 'b.example:1'])
  assert.equal(userIdOf('a', 'b.example:1' as ServerName), id)
})

test('new accounts get localparts of today only', () => {
  for (const localpart of ['a', 'a.b_c=d-e/f+1']) assert.ok(isNewLocalpart(localpart), localpart)
  for (const localpart of ['', 'A', 'ä', 'a b', 'a:b', '@a', 'a\n']) assert.ok(!isNewLocalpart(localpart), localpart)
})

test('room IDs, event IDs and aliases, of old and new room versions', () => {
  for (const id of ['!a:b.example', '!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM']) assert.ok(isRoomId(id), id)
  for (const id of ['$a:b.example:8448', '$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk']) assert.ok(isEventId(id), id)
  assert.ok(isRoomAlias('#räume:b.example'))
  for (const id of ['', '!', '!:b.example', '!a:', '!a:b c', '!a\0:b', 'a:b', `!${'a'.repeat(255)}`, undefined, 1]) {
    assert.ok(!isRoomId(id), String(id))
  }
  for (const id of ['#a', '#:b', 'a:b', '#a:b/c']) assert.ok(!isRoomAlias(id), id)
})
