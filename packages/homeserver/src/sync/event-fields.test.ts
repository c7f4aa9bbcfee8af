import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { pickFields } from './event-fields.ts'

const event = { type: 't', content: { body: 'b', 'a.b': 1, 'c\\d': 2, deep: { one: 1, two: 2 } }, unsigned: {} }

describe('pickFields', () => {
  it('picks members at any depth', () => {
    assert.deepEqual(pickFields(event, ['type', 'content.deep.one']), { type: 't', content: { deep: { one: 1 } } })
  })
  it('puts together what several paths pick of one object', () => {
    const picked = { content: { body: 'b', deep: { one: 1, two: 2 } } }
    assert.deepEqual(pickFields(event, ['content.deep.one', 'content.body', 'content.deep.two']), picked)
    assert.deepEqual(pickFields(event, ['content.deep', 'content.deep.one', 'content.body']), picked)
  })
  it('reads dots and backslashes within names', () => {
    assert.deepEqual(pickFields(event, ['content.a\\.b', 'content.c\\\\d']), { content: { 'a.b': 1, 'c\\d': 2 } })
  })
  it('leaves the event itself as it is', () => {
    const before = structuredClone(event)
    pickFields(event, ['content', 'content.deep.one', 'content.deep'])
    assert.deepEqual(event, before)
  })
  it('takes own members alone, whatever they are called', () => {
    const odd = JSON.parse('{"__proto__":{"polluted":1},"content":{}}')
    assert.deepEqual(Object.keys(pickFields(odd, ['__proto__.polluted', 'constructor.name'])), ['__proto__'])
    assert.equal(({} as { polluted?: number }).polluted, undefined)
  })
  it('has nothing for paths that lead nowhere', () => {
    assert.deepEqual(pickFields(event, ['content.body.length', 'content.none.x', 'unsigned.age', '']), {})
  })
})
