import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { UserId } from '../matrix/ids.ts'
import { applyUpdate, type DeviceListUpdate, decide, inChainOrder, readUpdate } from './decide.ts'
import { digestOf, type Snapshot } from './snapshot.ts'

const bob = '@bob:remote.example' as UserId
const keysOf = (deviceId: string, mark = 'a') => ({
  user_id: bob,
  device_id: deviceId,
  algorithms: [],
  keys: { [`ed25519:${deviceId}`]: mark },
})
const listAt = (streamId: number, ...deviceIds: string[]): Snapshot => ({
  streamId,
  deviceKeys: new Map(deviceIds.map((id) => [id, keysOf(id)])),
  keyless: [],
  masterKey: null,
  selfSigningKey: null,
})
const update = (streamId: number, prevIds: number[], more: Partial<DeviceListUpdate> = {}): DeviceListUpdate => ({
  userId: bob,
  deviceId: 'D2',
  streamId,
  prevIds,
  deleted: false,
  keys: keysOf('D2'),
  ...more,
})

describe('decide', () => {
  const cases: [string, Snapshot | undefined, DeviceListUpdate, string][] = [
    ['a list that was never fetched', undefined, update(5, [4]), 'doubt'],
    ['an update that follows', listAt(4, 'D1'), update(5, [4]), 'apply'],
    ['several predecessors, the newest of which we have', listAt(4, 'D1'), update(5, [2, 4]), 'apply'],
    ['a predecessor older than our snapshot', listAt(4, 'D1'), update(9, [3]), 'apply'],
    ['a gap', listAt(4, 'D1'), update(6, [5]), 'doubt'],
    ['a gap among several predecessors', listAt(4, 'D1'), update(7, [4, 6]), 'doubt'],
    ['no predecessor', listAt(4, 'D1'), update(5, []), 'doubt'],
    ['an identical replay', listAt(5, 'D1', 'D2'), update(5, [4]), 'ignore'],
    ['an older identical replay', listAt(9, 'D2'), update(5, [4]), 'ignore'],
    ['a replay that would resurrect a device', listAt(6, 'D1'), update(5, [4]), 'doubt'],
    ['a replayed deletion', listAt(6, 'D1'), update(5, [4], { deleted: true, keys: undefined }), 'ignore'],
    [
      'an old deletion of a device that is there',
      listAt(6, 'D2'),
      update(5, [4], { deleted: true, keys: undefined }),
      'doubt',
    ],
    ['a rebuilt remote', listAt(900, 'D1'), update(3, [2]), 'doubt'],
    ['a deletion across a gap', listAt(4, 'D2'), update(6, [5], { deleted: true, keys: undefined }), 'doubt'],
  ]
  for (const [name, list, said, kind] of cases) {
    it(`${name}: ${kind}`, () => assert.equal(decide(list, said).kind, kind))
  }

  it('replays different keys for a known stream ID: doubt', () => {
    const replay = update(5, [4], { keys: keysOf('D2', 'other') })
    assert.equal(decide(listAt(5, 'D2'), replay).kind, 'doubt')
  })
})

describe('applyUpdate', () => {
  it('adds, replaces and removes one device and leaves the old list alone', () => {
    const before = listAt(4, 'D1')
    const added = applyUpdate(before, update(5, [4]))
    assert.deepEqual([...added.deviceKeys.keys()], ['D1', 'D2'])
    assert.equal(added.streamId, 5)
    const removed = applyUpdate(added, update(6, [5], { deleted: true, keys: undefined }))
    assert.deepEqual([...removed.deviceKeys.keys()], ['D1'])
    assert.deepEqual([...before.deviceKeys.keys()], ['D1'])
  })

  it('moves a device between those with and without keys', () => {
    const keyless = applyUpdate(listAt(4, 'D2'), update(5, [4], { keys: undefined }))
    assert.deepEqual(keyless.keyless, ['D2'])
    assert.equal(keyless.deviceKeys.size, 0)
    assert.deepEqual(applyUpdate(keyless, update(6, [5])).keyless, [])
  })

  it('arrives at the same list whatever order the updates of a transaction came in', () => {
    const ids = ['A', 'B', 'C']
    fc.assert(
      fc.property(
        fc.array(fc.record({ deviceId: fc.constantFrom(...ids), deleted: fc.boolean() }), { maxLength: 12 }),
        fc.infiniteStream(fc.nat()),
        (changes, random) => {
          const updates = changes.map(({ deviceId, deleted }, index) =>
            update(index + 2, [index + 1], {
              deviceId,
              deleted,
              keys: deleted ? undefined : keysOf(deviceId, `${index}`),
            }),
          )
          const shuffled = updates
            .map((one) => ({ one, at: random.next().value }))
            .sort((a, b) => a.at - b.at)
            .map(({ one }) => one)
          const run = (all: DeviceListUpdate[]) => {
            let list = listAt(1)
            for (const one of inChainOrder(all)) {
              assert.equal(decide(list, one).kind, 'apply')
              list = applyUpdate(list, one)
            }
            return digestOf(list)
          }
          assert.equal(run(shuffled), run(updates))
        },
      ),
    )
  })
})

describe('readUpdate', () => {
  const good = { user_id: bob, device_id: 'D2', stream_id: 5, prev_id: [4], keys: keysOf('D2') }

  it('reads a good one, and replaces what the remote says in unsigned', () => {
    const read = readUpdate(
      { ...good, keys: { ...keysOf('D2'), unsigned: { evil: 1 } }, device_display_name: 'Phone' },
      bob,
      true,
    )
    assert.ok(typeof read !== 'string')
    assert.deepEqual(read.keys?.unsigned, { device_display_name: 'Phone' })
  })

  it('drops the display name if so set', () => {
    const read = readUpdate({ ...good, device_display_name: 'Phone' }, bob, false)
    assert.ok(typeof read !== 'string')
    assert.equal(read.keys?.unsigned, undefined)
  })

  for (const [name, more] of Object.entries({
    'a device ID that is no string': { device_id: 5 },
    'a stream ID that is no integer': { stream_id: '5' },
    'a fractional stream ID': { stream_id: 5.5 },
    'prev_id that is no array': { prev_id: 4 },
    'prev_id with a string': { prev_id: ['4'] },
    'keys of another device': { keys: keysOf('D3') },
    'keys of another user': { keys: { ...keysOf('D2'), user_id: '@eve:remote.example' } },
    'deleted that is no boolean': { deleted: 'yes' },
  })) {
    it(`refuses ${name}`, () => assert.equal(typeof readUpdate({ ...good, ...more }, bob, true), 'string'))
  }
})
