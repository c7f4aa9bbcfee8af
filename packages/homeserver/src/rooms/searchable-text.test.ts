import assert from 'node:assert/strict'
import { test } from 'node:test'
import { searchableText, wordsOf } from './searchable-text.ts'

test('words are the same however they are written', () => {
  assert.deepEqual(wordsOf('Où est LE café? foo_bar, matrix.org: 42'), [
    'ou',
    'est',
    'le',
    'cafe',
    'foo',
    'bar',
    'matrix',
    'org',
    '42',
  ])
  assert.deepEqual(wordsOf('"; drop \0 -- *()'), ['drop'])
  assert.deepEqual(wordsOf('🙂 …'), [])
  assert.deepEqual(wordsOf(`${'x'.repeat(101)} short`), ['short'])
})

test('bodies, names and topics are searched in, and nothing else', () => {
  const of = (type: string, content: object, stateKey?: string) =>
    searchableText({ type, content: content as never, stateKey })
  assert.deepEqual(of('m.room.message', { body: 'a' }), { place: 'content.body', text: 'a' })
  assert.deepEqual(of('m.room.message', { body: 1 }), { place: 'content.body', text: '' })
  assert.deepEqual(of('m.room.name', { name: 'a' }, ''), { place: 'content.name', text: 'a' })
  assert.equal(of('m.room.name', { name: 'a' }, 'x'), undefined)
  assert.equal(of('m.room.encrypted', { body: 'a' }), undefined)
  const rich = { topic: 'a', 'm.topic': { 'm.text': [{ body: '<b>', mimetype: 'text/html' }, { body: 'b' }] } }
  assert.deepEqual(of('m.room.topic', rich, ''), { place: 'content.topic', text: 'a b' })
})
