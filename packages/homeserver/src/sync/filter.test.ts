import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { filterEvents } from './filter.ts'

const events = ['m.direct', 'm.push_rules', 'org.example.one', 'org.example.two'].map((type) => ({ type }))
const types = (filter: Parameters<typeof filterEvents>[1]) => filterEvents(events, filter).map((event) => event.type)

describe('filterEvents', () => {
  it('lets everything through without a filter', () => assert.equal(types(undefined).length, 4))
  it('keeps the types asked for, by wildcard too', () => {
    assert.deepEqual(types({ types: ['m.*'] }), ['m.direct', 'm.push_rules'])
    assert.deepEqual(types({ types: ['org.*.one', 'm.direct'] }), ['m.direct', 'org.example.one'])
    assert.deepEqual(types({ types: [] }), [])
  })
  it('lets not_types win', () => assert.deepEqual(types({ types: ['m.*'], not_types: ['*push*'] }), ['m.direct']))
  it('does not let the ends of a pattern overlap', () => {
    assert.deepEqual(filterEvents([{ type: 'aba' }], { types: ['ab*ba'] }), [])
  })
  it('stops at the limit', () => assert.deepEqual(types({ limit: 1 }), ['m.direct']))
  it('takes a pattern of many stars in its stride', () => {
    const long = { type: `${'a'.repeat(5000)}b` }
    assert.deepEqual(filterEvents([long], { types: [`${'*a'.repeat(2000)}*c`] }), [])
  })
})
