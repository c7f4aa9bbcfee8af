import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { settleServerName } from './server-info.ts'

const brokenOff = (code: string) => Object.assign(new Error('broken off'), { code })

forEachDatabase((database) => {
  test('a transaction that is broken off runs again, and only its last run counts', async () => {
    const store = await database.open()
    const told: number[] = []
    let runs = 0
    const position = await store.transaction(async (tx) => {
      const run = ++runs
      tx.afterCommit(() => told.push(run))
      await settleServerName(tx.db, `run${run}.example` as never)
      const position = await tx.position()
      if (run < 3) throw brokenOff(run === 1 ? '40P01' : '40001')
      return position
    })
    assert.deepEqual([runs, told], [3, [3]])
    assert.equal(position, await store.position())
    assert.equal((await settleServerName(store.db, 'other.example' as never)).name, 'run3.example')
  })

  test('it is given up in the end, and any other error at once', async () => {
    const store = await database.open()
    for (const [code, expected] of [
      ['40P01', 5],
      ['23505', 1],
    ] as const) {
      let runs = 0
      const failing = store.transaction(async () => {
        runs++
        throw brokenOff(code)
      })
      await assert.rejects(failing, /broken off/)
      assert.equal(runs, expected, code)
    }
  })

  if (database.name === 'postgres') {
    test('two transactions that wait for each other both end well', async () => {
      const store = await database.open()
      const [one, other] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const insert = (db: typeof store.db, name: string) =>
        db
          .insertInto('server_info')
          .values({ name, value: name })
          .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: 'again' }))
          .execute()
      const both = [
        store.transaction(async (tx) => {
          await insert(tx.db, 'a')
          one.resolve()
          await other.promise
          await insert(tx.db, 'b')
        }),
        store.transaction(async (tx) => {
          await insert(tx.db, 'b')
          other.resolve()
          await one.promise
          await insert(tx.db, 'a')
        }),
      ]
      await Promise.all(both)
      assert.equal((await store.db.selectFrom('server_info').selectAll().execute()).length, 2)
    })
  }
})
