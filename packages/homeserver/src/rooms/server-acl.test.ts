import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerName } from '../matrix/ids.ts'
import { isDeniedByAcl } from './server-acl.ts'

const cases: [acl: unknown, server: string, denied: boolean][] = [
  [undefined, 'a.example', false],
  [{}, 'a.example', true],
  [{ allow: ['*'] }, 'a.example', false],
  [{ allow: ['*'], deny: ['a.example'] }, 'a.example', true],
  [{ allow: ['*'], deny: ['a.example'] }, 'A.example:8448', true],
  [{ allow: ['*'], deny: ['a.example'] }, 'sub.a.example', false],
  [{ allow: ['*'], deny: ['*.a.example'] }, 'sub.a.example', true],
  [{ allow: ['a.example'] }, 'b.example', true],
  [{ allow: '*' }, 'a.example', true],
  [{ allow: ['*', 5], deny: [null, { a: 1 }] }, 'a.example', false],
  [{ allow: ['*'], allow_ip_literals: false }, '1.2.3.4', true],
  [{ allow: ['*'], allow_ip_literals: false }, '1.2.3.4:8448', true],
  [{ allow: ['*'], allow_ip_literals: false }, '[::1]:8448', true],
  [{ allow: ['*'], allow_ip_literals: 'no' }, '[::1]', false],
  [{ allow: ['*'], deny: ['[::1]'] }, '[::1]:1234', true],
  [{ allow: ['1.2.3.*'] }, '1.2.3.4', false],
]
for (const [acl, server, denied] of cases) {
  test(`${JSON.stringify(acl)} ${denied ? 'denies' : 'lets in'} ${server}`, () =>
    assert.equal(isDeniedByAcl(acl, server as ServerName), denied))
}
