import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { createTelling, StepFailed } from './telling.ts'

function heard(options: { colours: boolean; spinner: boolean }) {
  const out = new PassThrough({ encoding: 'utf8' })
  return { telling: createTelling(out, options), text: () => String(out.read() ?? '') }
}

test('steps that were verified, and what was seen', async () => {
  const { telling, text } = heard({ colours: false, spinner: false })
  telling.chapter('Beginning', 'Once upon a time.')
  assert.equal(
    await telling.step(
      'two and two',
      async () => 4,
      (seen) => `are ${seen}`,
    ),
    4,
  )
  assert.match(text(), /^\nBeginning\n {2}Once upon a time\.\n {2}✓ two and two \(\d\.\d s\)\n {4}are 4\n$/)
  assert.equal(telling.verified, 1)
})

test('a step that was not is named, with what was wrong', async () => {
  const { telling, text } = heard({ colours: false, spinner: false })
  const wrong = telling.step('two and two', async () => assert.equal(5, 4))
  await assert.rejects(
    wrong,
    (error) => error instanceof StepFailed && error.step === 'two and two' && /4/.test(error.message),
  )
  assert.equal(text(), '  ✗ two and two\n')
  assert.equal(telling.verified, 0)
})

test('a terminal gets colours, and something that turns and leaves nothing behind', async () => {
  const { telling, text } = heard({ colours: true, spinner: true })
  await telling.step('waiting', async () => {})
  const lines = text()
  assert.ok(lines.includes('⠋ waiting'))
  assert.ok(lines.lastIndexOf('\r\u001b[2K') < lines.indexOf('\u001b[32m✓\u001b[0m waiting'))
})
