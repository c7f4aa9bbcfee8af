import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { forEachDatabase } from '../../test/support/databases.ts'
import { isDatabaseFailure } from './database-failures.ts'

const caught = (work: Promise<unknown>) =>
  work.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error,
  )

forEachDatabase((database) => {
  test('a statement that is at fault itself is no failure of the database, nor is any other bug', async () => {
    const { db } = await database.open()
    const row = { name: 'name', value: 'value' }
    await db.insertInto('server_info').values(row).execute()
    const errors = [
      await caught(db.insertInto('server_info').values(row).execute()),
      await caught(sql`select nothing from nowhere`.execute(db)),
      new TypeError('poison'),
      'a word',
      undefined,
    ]
    for (const error of errors) assert.equal(isDatabaseFailure(error), false, String(error))
  })

  test('a database that takes nothing, goes away in the midst or is closed has failed', async () => {
    const store = await database.open()
    const failing =
      database.name === 'sqlite'
        ? sql`pragma query_only = on`.execute(store.db).then(() => store.db.deleteFrom('server_info').execute())
        : sql`select pg_terminate_backend(pg_backend_pid())`.execute(store.db)
    assert.equal(isDatabaseFailure(await caught(failing)), true)
    const { db } = store
    await store.close()
    assert.equal(isDatabaseFailure(await caught(db.selectFrom('server_info').selectAll().execute())), true)
  })
})
