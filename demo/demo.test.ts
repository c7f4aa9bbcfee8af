import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const LIMIT = { timeout: 120_000 }

function demo(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const script = fileURLToPath(new URL('./demo.ts', import.meta.url))
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined }
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env }, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    )
  })
}

test('the demonstration: a hidden device, a refresh, a server that is down and comes back', LIMIT, async () => {
  const { code, out, err } = await demo()
  assert.equal(code, 0, out + err)
  for (const seen of ['“Unable to decrypt”', '“I said: lunch at noon?”', 'the next try is in', '“See you!”'])
    assert.ok(out.includes(seen), out)
  assert.match(out, /All \d+ steps were verified\.\n$/)
  // Where nobody looks at a terminal there are neither colours nor anything that turns, and the clients keep quiet.
  assert.ok(!out.includes('\u001b'))
  assert.doesNotMatch(out, /pendingEvent/)
  assert.equal(err, '')
})

for (const [spoilt, step] of [
  ['nothing hidden', 'word of it was sent, and lost'],
  ['no refresh', 'the refresh has arrived'],
] as const) {
  test(`it fails where a step is not as it should be: ${spoilt}`, LIMIT, async () => {
    const { code, out, err } = await demo('--spoil', spoilt)
    assert.equal(code, 1)
    assert.match(out, new RegExp(`✗ ${step}`))
    const [, log] = /failed at “.*”: .*\nWhat the servers had to say is in (.+)\n$/s.exec(err) ?? []
    assert.ok(err.includes(`failed at “${step}`) && log, err)
    await rm(dirname(log), { recursive: true })
  })
}

test('options that make no sense', LIMIT, async () => {
  for (const args of [['--synaps'], ['--spoil', 'the weather']]) {
    const { code, err } = await demo(...args)
    assert.deepEqual([code, err.startsWith('Usage:')], [2, true])
  }
})

test('--help', async () => {
  const { code, out } = await demo('--help')
  assert.equal(code, 0)
  assert.match(out, /--synapse/)
})
