import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import { srvOrder } from './srv.ts'

const record = (name: string, priority: number, weight: number) => ({ name, port: 8448, priority, weight })
const namesOf = (records: { name: string }[]) => records.map(({ name }) => name)

test('the lowest priority comes first, whatever the weights', () => {
  const records = [record('c', 20, 100), record('a', 5, 0), record('b', 10, 50)]
  assert.deepEqual(namesOf(srvOrder(records, () => 0.5)), ['a', 'b', 'c'])
})

test('within a priority each is first as often as its weight says', () => {
  const { fraction } = createSeededRandom('srv')
  const records = [record('light', 1, 1), record('heavy', 1, 3), record('never', 1, 0)]
  const first = new Map<string, number>()
  for (let count = 0; count < 4_000; count++) {
    const [name] = namesOf(srvOrder(records, fraction))
    first.set(name!, (first.get(name!) ?? 0) + 1)
  }
  assert(Math.abs(first.get('heavy')! - 3_000) < 150, `${first.get('heavy')}`)
  assert((first.get('never') ?? 0) < 20)
})

test('a target that says that there is no service is left out', () => {
  assert.deepEqual(
    srvOrder([record('.', 0, 0), record('', 0, 0), { ...record('a', 0, 0), port: 0 }], () => 0),
    [],
  )
})
