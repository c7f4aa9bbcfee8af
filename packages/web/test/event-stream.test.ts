import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createEventParser } from '../src/api/event-stream.ts'

const TEXT = ': hello\n\nevent: state\ndata: {"a":\ndata: 1}\n\ndata:x\r\nid: 7\r\n\r\nevent: nothing\n\n'
const EVENTS = [
  { event: 'state', data: '{"a":\n1}' },
  { event: 'message', data: 'x' },
]

test('events come out whole, wherever the text is cut', () => {
  const cuts = fc.array(fc.nat({ max: TEXT.length }))
  fc.assert(
    fc.property(cuts, (places) => {
      const parse = createEventParser()
      const ends = [...places.sort((one, other) => one - other), TEXT.length]
      const found = ends.flatMap((end, nth) => parse(TEXT.slice(ends[nth - 1] ?? 0, end)))
      assert.deepEqual(found, EVENTS)
    }),
  )
})
