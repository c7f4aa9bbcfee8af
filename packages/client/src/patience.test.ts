import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep, startPatience } from './patience.ts'

const never = () => new Promise<string>(() => {})

test('patience ends with its time, even when the work does not care', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const patience = startPatience(1_000)
  assert.equal(await patience.spend(async () => 'done'), 'done')
  const spent = patience.spend(never)
  t.mock.timers.tick(400)
  assert.equal(patience.leftMs(), 600)
  t.mock.timers.tick(600)
  assert.equal(await spent, undefined)
  assert.equal(await patience.spend(never), undefined)
})

test('the reason of the caller, and errors of the work, are thrown', async () => {
  const caller = new AbortController()
  const patience = startPatience(1_000, caller.signal)
  await assert.rejects(
    patience.spend(() => Promise.reject(new Error('broken'))),
    /broken/,
  )
  const spent = patience.spend(never)
  caller.abort(new Error('enough'))
  await assert.rejects(spent, /enough/)
  await assert.rejects(patience.spend(never), /enough/)
  await assert.rejects(sleep(1_000, caller.signal), /enough/)
  patience.end()
})
