import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceList } from '../src/api/types.ts'
import { nameOf, type People, shown, signsOfStaleness, withNews } from '../src/people/people.ts'
import type { DeviceMark, PersonKeys } from '../src/people/trust.ts'

const list = (name: string, more: Partial<DeviceList> = {}): DeviceList => ({
  user_id: `@${name}:far.example`,
  display_name: null,
  state: 'fresh',
  synced_at: 1_000,
  stream_id: 1,
  devices: 1,
  last_error: null,
  attempts: 0,
  next_attempt_at: null,
  stale_since: null,
  ...more,
})
const people = (...lists: DeviceList[]): People => new Map(lists.map((one) => [one.user_id, one]))
const names = (lists: DeviceList[]) => lists.map(({ user_id }) => user_id.slice(1, user_id.indexOf(':')))

test('news add, change and remove; all news take the place of what was known', () => {
  const known = withNews(new Map(), { lists: [list('bob'), list('carol')], removed: [] }, true)
  const later = withNews(known, { lists: [list('bob', { devices: 2 })], removed: ['@carol:far.example'] }, false)
  assert.deepEqual(
    [...later.values()].map((one) => one.devices),
    [2],
  )
  assert.equal(known.size, 2)
  assert.deepEqual([...withNews(later, { lists: [list('dave')], removed: [] }, true).keys()], ['@dave:far.example'])
})

test('people by name, by the worst state, by the oldest list', () => {
  const all = people(
    list('bob', { display_name: 'Zoe' }),
    list('carol', { state: 'failing', synced_at: 500 }),
    list('dave', { synced_at: null, state: 'pending' }),
  )
  assert.deepEqual(names(shown(all, '', 'name')), ['carol', 'dave', 'bob'])
  assert.deepEqual(names(shown(all, '', 'state')), ['carol', 'dave', 'bob'])
  assert.deepEqual(names(shown(all, '', 'age')), ['dave', 'carol', 'bob'])
  const withOurs = people(list('erin', { synced_at: null }), ...all.values())
  assert.deepEqual(names(shown(withOurs, '', 'age')), ['dave', 'carol', 'bob', 'erin'])
  assert.deepEqual(names(shown(all, ' ZOE far ', 'name')), ['bob'])
  assert.deepEqual(names(shown(all, 'zoe carol', 'name')), [])
})

test('who has an empty name is called by their ID', () => {
  assert.deepEqual(
    [null, '', '  ', ' Bob '].map((display_name) => nameOf(list('bob', { display_name }))),
    ['@bob:far.example', '@bob:far.example', '@bob:far.example', 'Bob'],
  )
})

test('what makes a list look stale', () => {
  const keys = (crossSigning: boolean, ...marks: DeviceMark[]): PersonKeys => ({
    devices: marks.map((mark, nth) => ({ deviceId: String(nth), name: undefined, mark })),
    crossSigning,
    verifiedByYou: false,
    checked: true,
  })
  assert.deepEqual(signsOfStaleness(list('bob'), keys(true, 'signed', 'unsigned')), [])
  assert.equal(signsOfStaleness(list('bob'), keys(true, 'unsigned', 'forged')).length, 1)
  assert.deepEqual(signsOfStaleness(list('bob'), keys(false, 'noCrossSigning')), [])
  assert.equal(signsOfStaleness(list('bob', { devices: 0 }), undefined).length, 1)
  for (const state of ['failing', 'pending', 'untracked'] as const)
    assert.equal(signsOfStaleness(list('bob', { state }), undefined).length, 1)
})
