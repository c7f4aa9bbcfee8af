import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { createStates } from './states.ts'

const ROOM = '!r:hs1' as RoomId
const delta = (...entries: [string, string | null][]) => new Map(entries as [string, EventId | null][])

forEachDatabase((database) => {
  test('a state is what it was made of, however long the way to it', async () => {
    const store = await database.open()
    const states = createStates()
    let state = await store.transaction((tx) => states.derive(tx, ROOM, undefined, delta(['a\0', '$0'])))
    for (let index = 1; index <= 120; index++) {
      const change = delta(['a\0', `$${index}`], [`b\0${index}`, '$b'], [`b\0${index - 7}`, null])
      state = await store.transaction((tx) => states.derive(tx, ROOM, state, change))
    }
    const read = await createStates().load(store.db, state.id)
    assert.deepEqual(new Map([...read.map].sort()), new Map([...state.map].sort()))
    assert.equal(read.map.get('a\0'), '$120')
    assert.equal(read.map.size, 8)
  })

  test('a state of a transaction that is undone is not taken for one that gets its ID later', async () => {
    const store = await database.open()
    const states = createStates()
    const undone = store.transaction(async (tx) => {
      const { id } = await states.derive(tx, ROOM, undefined, delta(['a\0', '$undone']))
      await states.load(tx.db, id)
      throw new Error('undone')
    })
    await assert.rejects(undone, /undone/)
    const { id } = await store.transaction((tx) => states.derive(tx, ROOM, undefined, delta(['a\0', '$true'])))
    assert.equal((await states.load(store.db, id)).map.get('a\0'), '$true')
    // And on a look from elsewhere, with nothing in memory.
    assert.equal((await createStates().load(store.db, id)).map.get('a\0'), '$true')
  })
})
