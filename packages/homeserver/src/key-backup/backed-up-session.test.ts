import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isBackedUpSession, isBetterSession } from './backed-up-session.ts'

const session = (verified: boolean, index: number, forwarded: number) => ({
  is_verified: verified,
  first_message_index: index,
  forwarded_count: forwarded,
})

test('verified is better than unverified, then more messages, then fewer hands', () => {
  const fromWorst = [session(false, 5, 5), session(false, 5, 1), session(false, 1, 9), session(true, 9, 9)]
  for (const [n, better] of fromWorst.entries()) {
    for (const [m, worse] of fromWorst.entries()) assert.equal(isBetterSession(better, worse), n > m)
  }
})

test('a session of a backup has counts, a flag and data', () => {
  const good = { ...session(true, 0, 0), session_data: { ciphertext: 'x' } }
  assert.equal(isBackedUpSession(good), true)
  for (const wrong of [
    { first_message_index: -1 },
    { forwarded_count: 0.5 },
    { is_verified: 1 },
    { session_data: 1 },
  ]) {
    assert.equal(isBackedUpSession({ ...good, ...wrong }), false)
  }
  assert.equal(isBackedUpSession(null), false)
})
