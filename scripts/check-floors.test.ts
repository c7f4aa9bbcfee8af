import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { importsIn, offences } from './check-floors.ts'

describe('the floors rule', () => {
  const rule = (path: string, ...imports: string[]) => offences([{ path, imports }])

  it('lets a module import from its own room and from below', () => {
    assert.deepEqual(rule('http/app.ts', 'http/errors.ts', 'context.ts', 'users/users.ts', 'matrix/ids.ts'), [])
  })
  it('refuses an import from above', () => {
    assert.equal(rule('storage/store.ts', 'users/users.ts').length, 1)
    assert.equal(rule('platform/clock.ts', 'storage/store.ts').length, 1)
  })
  it('refuses what one feature knows of another', () => {
    assert.equal(rule('users/users.ts', 'devices/devices.ts').length, 1)
    assert.equal(rule('matrix/ids.ts', 'platform/clock.ts').length, 1)
  })
  it('refuses a place that nobody planned', () => {
    assert.equal(rule('helpers/misc.ts').length, 1)
    assert.equal(rule('http/app.ts', 'helpers/misc.ts').length, 1)
  })
  it('sees every kind of import', () => {
    const text = `
      import { a } from './a.ts'
      import type { B } from "../b.ts"
      export * from './c.ts'
      import './d.ts'
      const e = await import('./e.ts')
      import fastify from 'fastify'
    `
    assert.deepEqual(importsIn(text), ['./a.ts', '../b.ts', './c.ts', './d.ts', './e.ts'])
  })
})
