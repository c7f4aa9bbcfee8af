import { test } from 'node:test'
import { onPostgres, onSqlite, type TestDatabase } from '../support/databases.ts'
import { crashAt } from './crashes.ts'

// The process of all crashes of the story: `every` so many calls one, then `--postgres` maybe.

const [every, ...flags] = process.argv.slice(2)

function addTest(database: TestDatabase): void {
  test('crashes', async (context) => {
    for (const moment of ['before', 'after'] as const) {
      let died = true
      for (let calls = 0; died; calls += Number(every)) {
        await context.test(`${moment} call ${calls}`, async () => {
          died = await crashAt(database, calls, moment)
        })
      }
    }
  })
}

if (flags.includes('--postgres')) onPostgres(addTest)
else onSqlite(addTest)
