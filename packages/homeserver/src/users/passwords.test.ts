import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import { createPasswords, isPossiblePassword } from './passwords.ts'

const passwords = () => createPasswords(createSeededRandom(1), 'test')

test('a password is right for its own hash only', async () => {
  const { hash, verify } = passwords()
  const [one, two] = await Promise.all([hash('übers3kr1t'), hash('übers3kr1t')])
  assert.match(one, /^\$argon2id\$/)
  assert.notEqual(one, two)
  assert.equal(await verify(one, 'übers3kr1t'), true)
  assert.equal(await verify(one, 'u\u0308bers3kr1t'), true)
  assert.equal(await verify(one, 'ubers3kr1t'), false)
})

test('nothing is right where there is no hash', async () => {
  const { verify } = passwords()
  assert.equal(await verify(undefined, 'x'), false)
  assert.equal(await verify(null, ''), false)
})

test('the recommended cost is what OWASP asks of Argon2id', async () => {
  const hash = await createPasswords(createSeededRandom(1), 'recommended').hash('secret')
  assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
})

test('whoever comes when too many wait is sent away', async () => {
  const { hash } = passwords()
  const outcomes = await Promise.allSettled(Array.from({ length: 510 }, () => hash('x')))
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
  assert.equal(refused.length, 10)
  assert.equal(refused[0]?.reason.errcode, 'M_LIMIT_EXCEEDED')
  assert.match(await hash('x'), /^\$argon2id/)
})

test('a check that is not admitted ends without an answer', async () => {
  const { verify } = passwords()
  const refuse = () => {
    throw new Error('not now')
  }
  await assert.rejects(verify(undefined, 'x', refuse), /not now/)
})

test('passwords are bounded', () => {
  assert.equal(isPossiblePassword(''), false)
  assert.equal(isPossiblePassword('x'), true)
  assert.equal(isPossiblePassword('x'.repeat(512)), true)
  assert.equal(isPossiblePassword('x'.repeat(513)), false)
})
