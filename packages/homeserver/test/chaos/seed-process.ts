import { test } from 'node:test'
import { onPostgres, onSqlite, type TestDatabase } from '../support/databases.ts'
import { runSeed } from './run-seed.ts'

// The process of one seed: its number, then `--postgres` and `--trace` maybe. Reports to run.ts.

const [seed, ...flags] = process.argv.slice(2)

function addTest(database: TestDatabase): void {
  test(`seed ${seed}`, async () => {
    const report = await runSeed(Number(seed), database, flags.includes('--trace') ? { trace: console.log } : {})
    process.send?.(report)
  })
}

if (flags.includes('--postgres')) onPostgres(addTest)
else onSqlite(addTest)
