import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDoubts, doubtsOf } from './doubts.ts'

test('a doubt is new once, and old ones are forgotten when there are too many', () => {
  const doubts = createDoubts(2)
  assert.deepEqual(
    ['a', 'a', 'b', 'a', 'c', 'a', 'c'].map((doubt) => doubts.isNew(doubt)),
    [true, false, true, false, true, true, false],
  )
})

test('the same signs are the same doubts, whatever their order', () => {
  const unsigned = (...deviceIds: string[]) => doubtsOf('@bob:b', [{ sign: 'unsignedDevices', deviceIds }])
  assert.deepEqual(unsigned('A', 'B'), unsigned('B', 'A'))
  assert.notDeepEqual(unsigned('A'), unsigned('A', 'B'))
  const event = (eventId: string, deviceId: string) => ({ roomId: '!r', eventId, deviceId, senderKey: 'key' })
  const events = [event('$1', 'A'), event('$2', 'A'), event('$3', 'B')]
  assert.equal(new Set(doubtsOf('@bob:b', [{ sign: 'unknownSenderDevice', events }])).size, 2)
})
