import { test } from 'node:test'
import { parseArgs } from 'node:util'
import { onPostgres, onSqlite, type TestDatabase } from '../support/databases.ts'
import { runSeed } from './run-seed.ts'

// npm run chaos -- [--seeds 200] [--from 1] [--seed 17 [--trace]] [--postgres]

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    postgres: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
})

function addTests(database: TestDatabase): void {
  const first = Number(values.seed ?? values.from)
  const count = values.seed === undefined ? Number(values.seeds) : 1
  for (let seed = first; seed < first + count; seed++) {
    test(`seed ${seed}`, async (context) => {
      const report = await runSeed(seed, database, values.trace ? { trace: console.log } : {})
      context.diagnostic(JSON.stringify(report))
    })
  }
}

if (values.postgres) onPostgres(addTests)
else onSqlite(addTests)
