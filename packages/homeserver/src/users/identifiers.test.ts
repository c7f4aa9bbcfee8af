import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerName } from '../matrix/ids.ts'
import { accountNamed, newUserId } from './identifiers.ts'

const server = 'example.org' as ServerName

test('a user is named by user ID or localpart, in any case', () => {
  for (const user of ['alice', 'Alice', '@alice:example.org', '@ALICE:example.org']) {
    assert.equal(accountNamed({ identifier: { type: 'm.id.user', user } }, server), '@alice:example.org', user)
    assert.equal(accountNamed({ user }, server), '@alice:example.org', user)
  }
})

test('what cannot be an account here is nobody', () => {
  for (const user of ['', '@alice:elsewhere.org', '@alice:EXAMPLE.ORG', '@alice', 'al ice', 'Ålice', '@:example.org']) {
    assert.equal(accountNamed({ user }, server), undefined, user)
  }
  const email = { medium: 'email', address: 'alice@example.org' }
  assert.equal(accountNamed({ identifier: { type: 'm.id.thirdparty', ...email } }, server), undefined)
  assert.equal(accountNamed({ identifier: email }, server), undefined)
  assert.equal(accountNamed(email, server), undefined)
  assert.equal(accountNamed({ identifier: { type: 'm.id.phone', country: 'GB', phone: '1' } }, server), undefined)
})

test('identifiers that name nobody are errors', () => {
  const errors: [object, string][] = [
    [{}, 'M_MISSING_PARAM'],
    [{ medium: 'email' }, 'M_MISSING_PARAM'],
    [{ identifier: {} }, 'M_MISSING_PARAM'],
    [{ identifier: { type: 'm.id.user' } }, 'M_MISSING_PARAM'],
    [{ identifier: { type: 'm.id.user', user: 5 } }, 'M_BAD_JSON'],
    [{ identifier: 'alice' }, 'M_BAD_JSON'],
    [{ identifier: { type: 'm.id.palm' } }, 'M_INVALID_PARAM'],
  ]
  for (const [named, errcode] of errors) {
    assert.throws(() => accountNamed(named, server), { errcode }, JSON.stringify(named))
  }
})

test('new user IDs follow the grammar of the specification', () => {
  assert.equal(newUserId('Al.ice_=-/+9', server), '@al.ice_=-/+9:example.org')
  // The Kelvin sign is a k in lower case, and no letter of a user name.
  for (const name of ['', 'a b', 'é', '\u212a', '@a', 'a:b', 'a\n', 'a'.repeat(243)]) {
    assert.equal(newUserId(name, server), undefined, name)
  }
  assert.equal(newUserId('a'.repeat(242), server)?.length, 255)
})
