import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerName } from '../matrix/ids.ts'
import { serverFilter } from './server-filter.ts'

const cases: [deny: string[], allow: string[], name: string, through: boolean][] = [
  [[], [], 'a.example', true],
  [['a.example'], [], 'a.example', false],
  [['a.example'], [], 'A.Example', false],
  [['a.example'], [], 'a.example:1234', false],
  [['a.example:1234'], [], 'a.example', true],
  [['a.example'], [], 'b.a.example', true],
  [['*.example'], [], 'b.a.example:1', false],
  [['*.example'], [], 'example', true],
  [['axexample'], [], 'a.example', true],
  [['a.example'], [], 'axexample', true],
  [[], ['a.example'], 'a.example', true],
  [[], ['a.example'], 'b.example', false],
  [['*'], ['a.example'], 'a.example', false],
  [['evil.*'], ['*'], 'good.example', true],
  [['[2001:db8::1]'], [], '[2001:db8::1]:8448', false],
  [['10.*'], [], '10.0.0.1:8448', false],
]

for (const [deny, allow, name, through] of cases) {
  test(`${name} with deny [${deny}] and allow [${allow}]`, () => {
    assert.equal(serverFilter(deny, allow)(name as ServerName), through)
  })
}
