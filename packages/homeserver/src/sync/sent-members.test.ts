import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { createSentMembers } from './sent-members.ts'

const [room, bob] = ['!room:hs1' as RoomId, '@bob:hs1' as UserId]
const phone = { userId: '@alice:hs1' as UserId, deviceId: 'PHONE' }
const id = (name: string) => `$${name}` as EventId

describe('members that were sent', () => {
  it('are known once the device has come back with a later token', () => {
    const sent = createSentMembers()
    sent.of(phone, undefined).note(room, bob, id('join'), 10)
    assert.equal(sent.of(phone, 10).has(room, bob, id('join')), true)
    assert.equal(sent.of(phone, 9).has(room, bob, id('join')), false)
    assert.equal(sent.of(phone, 10).has(room, bob, id('renamed')), false)
    assert.equal(sent.of({ ...phone, deviceId: 'TABLET' }, 10).has(room, bob, id('join')), false)
  })
  it('stay known where they are sent again', () => {
    const sent = createSentMembers()
    sent.of(phone, undefined).note(room, bob, id('join'), 10)
    sent.of(phone, 10).note(room, bob, id('join'), 20)
    assert.equal(sent.of(phone, 15).has(room, bob, id('join')), true)
  })
  it('are forgotten by a device that begins anew', () => {
    const sent = createSentMembers()
    sent.of(phone, undefined).note(room, bob, id('join'), 10)
    sent.of(phone, undefined)
    assert.equal(sent.of(phone, 20).has(room, bob, id('join')), false)
  })
})
