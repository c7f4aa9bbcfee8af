import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mediaEnvelope, readMultipart } from './multipart.ts'

const TYPE = 'multipart/mixed; boundary=abc'
const read = (text: string, type: string | undefined = TYPE) => readMultipart(type, Buffer.from(text))

test('what we send is what is read, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const { head, tail } = mediaEnvelope('a-long-boundary', { 'Content-Type': 'image/png' })
      const sent = Buffer.concat([Buffer.from(head), bytes, Buffer.from(tail)])
      const parts = readMultipart('multipart/mixed; boundary="a-long-boundary"', sent)
      assert.ok(parts)
      assert.equal(parts[0].body.toString(), '{}')
      assert.equal(parts[1].headers.get('content-type'), 'image/png')
      assert.deepEqual(new Uint8Array(parts[1].body), bytes)
    }),
  )
})

test('parts as others write them', () => {
  const parts = read('\r\n--abc\r\n\r\n{}\r\n--abc  \r\nLOCATION:https://x\r\n\r\n\r\n--abc--')
  assert.equal(parts?.[1].headers.get('location'), 'https://x')
  assert.equal(parts[1].body.length, 0)
})

test('what is no such answer', () => {
  const good = '--abc\r\n\r\n{}\r\n--abc\r\n\r\nbytes\r\n--abc--\r\n'
  assert.ok(read(good))
  assert.equal(readMultipart(undefined, Buffer.from(good)), undefined)
  assert.equal(read(good, 'multipart/mixed'), undefined)
  assert.equal(read(good, 'text/plain; boundary=abc'), undefined)
  assert.equal(read(good, 'multipart/mixed; boundary=other'), undefined)
  for (const text of ['', '--abc', '--abc--', '--abc\r\n\r\n{}\r\n--abc--', '--abc\r\n\r\n{}\r\n--abc\r\n\r\nbytes']) {
    assert.equal(read(text), undefined, text)
  }
})
