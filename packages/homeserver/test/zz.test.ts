import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from './support/databases.ts'
forEachDatabase((database) => {
  test('fails', async () => { const s = await database.open(); await new Promise((r) => setTimeout(r, Number(process.env.ZZ ?? 0))); console.log('ENV', Object.keys(process.env).filter(k=>k.startsWith('EVERG')).join()); assert.equal(s.dialect, 'x') })
})
