import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matchesGlob } from './glob.ts'

const cases: [pattern: string, text: string, matches: boolean][] = [
  ['', '', true],
  ['', 'a', false],
  ['*', '', true],
  ['*', 'anything', true],
  ['?', '', false],
  ['?', 'a', true],
  ['a?c', 'abc', true],
  ['a?c', 'ac', false],
  ['*.evil.com', 'very.EVIL.com', true],
  ['*.evil.com', 'evil.com', false],
  ['*evil*', 'a.evil.b', true],
  ['a*b*c', 'axxbxxbc', true],
  ['a*b*c', 'axxbxxbd', false],
  ['evil.com', 'evilxcom', false],
  ['[a-z]', 'a', false],
  ['a**', 'a', true],
]
for (const [pattern, text, matches] of cases) {
  test(`"${pattern}" ${matches ? 'matches' : 'does not match'} "${text}"`, () =>
    assert.equal(matchesGlob(pattern, text), matches))
}

test('it says what a regular expression would', () => {
  const letters = fc.stringMatching(/^[ab]{0,8}$/)
  fc.assert(
    fc.property(fc.stringMatching(/^[ab*?]{0,8}$/), letters, (pattern, text) => {
      const expected = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
      return matchesGlob(pattern, text) === expected.test(text)
    }),
  )
})

test('a pattern that is made to take long does not', () => {
  const before = performance.now()
  assert.equal(matchesGlob('*a'.repeat(10_000), `${'a'.repeat(200)}b`), false)
  assert.equal(matchesGlob(`${'a*'.repeat(100)}b`, 'a'.repeat(230)), false)
  assert.ok(performance.now() - before < 1_000)
})
