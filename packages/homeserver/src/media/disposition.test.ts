import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contentTypeOf, dispositionOf, fileNameOf, nameInDisposition } from './disposition.ts'

test('what a browser might run is not shown in place', () => {
  assert.equal(dispositionOf('image/png', undefined), 'inline')
  assert.equal(dispositionOf('Text/Plain; charset=utf-8', undefined), 'inline')
  for (const type of ['text/html', 'image/svg+xml', 'application/javascript', 'application/octet-stream']) {
    assert.equal(dispositionOf(type, undefined), 'attachment', type)
  }
})

test('a file name comes back as it was given', () => {
  for (const name of ['a.txt', 'two words (1).pdf', 'naïve ☕.png', "it's.txt", 'semi;colon".txt', '100%.txt']) {
    assert.equal(nameInDisposition(dispositionOf('image/png', name)), name)
  }
  assert.equal(dispositionOf('image/png', 'ascii.png'), 'inline; filename="ascii.png"')
  assert.match(dispositionOf('image/png', 'a"b\r\nX: y'), /^[\x20-\x7e]+$/)
})

test('names as others write them', () => {
  assert.equal(nameInDisposition('attachment; filename=plain.txt'), 'plain.txt')
  assert.equal(nameInDisposition('attachment; filename="a \\"b\\".txt"'), 'a "b".txt')
  assert.equal(nameInDisposition(`attachment; filename="x"; filename*=UTF-8''%e2%98%95`), '☕')
  assert.equal(nameInDisposition("attachment; filename*=utf-8''%ff"), undefined)
  assert.equal(nameInDisposition('inline'), undefined)
})

test('a file name has no way out of its folder, and a type is a type', () => {
  assert.equal(fileNameOf('../..\\etc\u0000/pass\nwd\u202e'), '....etcpasswd')
  assert.equal(fileNameOf(' \n'), undefined)
  assert.equal(contentTypeOf('image/png'), 'image/png')
  for (const header of [undefined, '', 'image', 'image/png\r\nX: y', `a/${'b'.repeat(300)}`]) {
    assert.equal(contentTypeOf(header), 'application/octet-stream')
  }
})
