import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counted, distanceInWords, lengthInWords } from '../src/design/words.ts'

test('lengths of time in their largest unit', () => {
  const lengths: [number, string][] = [
    [999, 'a moment'],
    [1_000, '1 second'],
    [59_999, '59 seconds'],
    [61_000, '1 minute'],
    [7_200_000, '2 hours'],
    [90_000_000, '1 day'],
  ]
  for (const [ms, words] of lengths) assert.equal(lengthInWords(ms), words)
})

test('distances from now, by clocks that differ a little', () => {
  assert.equal(distanceInWords(15_000, 3_000), 'in 12 seconds')
  assert.equal(distanceInWords(3_500, 3_000), 'just now')
  assert.equal(distanceInWords(0, 4_999), 'just now')
  assert.equal(distanceInWords(0, 180_000), '3 minutes ago')
})

test('counts', () => {
  assert.deepEqual(
    [counted(1, 'list'), counted(2, 'list'), counted(0, 'person', 'people')],
    ['1 list', '2 lists', '0 people'],
  )
})
