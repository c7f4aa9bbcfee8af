import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stateEntry } from '../matrix/events.ts'
import type { StateChange } from '../storage/room-state.ts'
import { stateBeside } from './state-delta.ts'

type Shown = Parameters<typeof stateBeside>[1][number]

const shown = (type: string, position: number, replaces?: string, stateKey: string | undefined = '') =>
  ({ event: { type, stateKey }, replaces, row: { position } }) as unknown as Shown
const message = (position: number) => ({ event: { type: 'm' }, row: { position } }) as unknown as Shown
const change = (type: string, position: number, eventId: string | null) =>
  ({ type, state_key: '', position, event_id: eventId }) as unknown as StateChange
const state = (entries: Record<string, string>) => ({
  state: new Map(Object.entries(entries).map(([type, id]) => [stateEntry(type, ''), id])) as never,
})
const told = (beside: Map<string, string>) =>
  Object.fromEntries([...beside].map(([entry, eventId]) => [entry.split('\0')[0], eventId]))

describe('stateBeside, for who has nothing', () => {
  const end = state({ topic: '$topic2', name: '$name1' })
  const timeline = [message(5), shown('topic', 6, '$topic1'), message(7)]

  it('is the state at the beginning of the timeline', () => {
    assert.deepEqual(told(stateBeside(end, timeline, false)), { topic: '$topic1', name: '$name1' })
  })
  it('or at its end', () => {
    assert.deepEqual(told(stateBeside(end, timeline, true)), { topic: '$topic2', name: '$name1' })
  })
  it('leaves out what came to be in the timeline', () => {
    assert.deepEqual(told(stateBeside(end, [shown('topic', 6), shown('topic', 7, '$first')], false)), {
      name: '$name1',
    })
  })
})

describe('stateBeside, for who has what was there before', () => {
  it('is empty where the timeline tells everything', () => {
    const changes = [change('topic', 6, '$topic2')]
    assert.deepEqual(told(stateBeside({ changes }, [shown('topic', 6, '$topic1')], false)), {})
  })
  it('has what changed in the gap, the last of it', () => {
    const changes = [change('topic', 3, '$topic2'), change('topic', 4, '$topic3'), change('name', 4, '$name2')]
    assert.deepEqual(told(stateBeside({ changes }, [message(6)], false)), { topic: '$topic3', name: '$name2' })
  })
  it('has what changed in the gap and in the timeline as it was between', () => {
    const changes = [change('topic', 3, '$topic2'), change('topic', 6, '$topic3')]
    const timeline = [shown('topic', 6, '$topic2')]
    assert.deepEqual(told(stateBeside({ changes }, timeline, false)), { topic: '$topic2' })
    assert.deepEqual(told(stateBeside({ changes }, timeline, true)), { topic: '$topic3' })
  })
  it('has what state resolution changed without an event of the timeline', () => {
    assert.deepEqual(told(stateBeside({ changes: [change('topic', 6, '$old')] }, [message(6)], false)), {
      topic: '$old',
    })
  })
  it('cannot tell of what is gone', () => {
    assert.deepEqual(told(stateBeside({ changes: [change('topic', 3, null)] }, [], false)), {})
  })
})
