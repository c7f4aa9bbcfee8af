import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { cleanUpLimits, sharedBucket, sharedWindows } from './shared-limits.ts'

const LIMITS = { pair: { limit: 2, windowMs: 1_000 }, all: { limit: 3, windowMs: 1_000 } }

forEachDatabase((database) => {
  /** As many processes of one server as its database lets have: on SQLite one, that stands for both. */
  async function processes() {
    const clock = createFakeClock()
    if (database.name === 'sqlite') {
      const store = await database.open()
      return { clock, stores: [store, store] as const, same: true }
    }
    const place = await database.create()
    return { clock, stores: [await place.open(), await place.open()] as const, same: false }
  }

  test('a window is exact over all processes, and tells how long to wait', async () => {
    const { clock, stores, same } = await processes()
    const one = sharedWindows(stores[0], clock, LIMITS)
    const other = same ? one : sharedWindows(stores[1], clock, LIMITS)
    assert.equal(await one.take({ pair: 'a b', all: 'a' }), 0)
    await clock.advance(400)
    assert.equal(await other.take({ pair: 'a b', all: 'a' }), 0)
    assert.deepEqual([await one.take({ pair: 'a b', all: 'a' }), await other.wait({ pair: 'a b' })], [600, 600])
    // What was refused under one key counts under none.
    assert.equal(await one.take({ pair: 'a c', all: 'a' }), 0)
    assert.equal(await other.take({ pair: 'a d', all: 'a' }), 600)
    assert.equal(await other.wait({ pair: 'a d' }), 0)
    await clock.advance(600)
    assert.equal(await other.take({ pair: 'a b', all: 'a' }), 0)
    assert.equal(await one.take({ pair: 'a b', all: 'a' }), 400)
  })

  test('of many at the same time no more get through than fit', async () => {
    const { clock, stores, same } = await processes()
    const one = sharedWindows(stores[0], clock, LIMITS)
    const windows = [one, same ? one : sharedWindows(stores[1], clock, LIMITS)]
    const waits = await Promise.all(Array.from({ length: 12 }, (_, n) => windows[n % 2]!.take({ all: 'a' })))
    assert.equal(waits.filter((wait) => wait === 0).length, 3)
    assert.ok(waits.every((wait) => wait === 0 || wait === 1_000))
  })

  test('a clock that jumps back locks nobody out for long', async () => {
    const { clock, stores } = await processes()
    const windows = sharedWindows(stores[0], clock, LIMITS)
    const bucket = sharedBucket(stores[0], clock, 'b', { limit: 1, windowMs: 1_000 })
    for (let n = 0; n < 2; n++) await windows.take({ pair: 'a' })
    await bucket.take('a')
    clock.set(clock.now() - 3_600_000)
    assert.equal(await windows.take({ pair: 'a' }), 0)
    await clock.advance(1_000)
    assert.equal(await bucket.take('a'), 0)
  })

  test('a bucket is one for all processes, give or take the part that each has in hand', async () => {
    const { clock, stores, same } = await processes()
    const limit = { limit: 100, windowMs: 10_000 }
    const one = sharedBucket(stores[0], clock, 'b', limit)
    const buckets = [one, same ? one : sharedBucket(stores[1], clock, 'b', limit)]
    const waits = await Promise.all(Array.from({ length: 150 }, (_, n) => buckets[n % 2]!.take('a')))
    assert.equal(waits.filter((wait) => wait === 0).length, 100)
    assert.equal(await buckets[0]!.take('b'), 0)
    await clock.advance(500)
    let more = 0
    for (const bucket of buckets) while ((await bucket.take('a')) === 0) more++
    assert.equal(more, 5)
  })

  test('what has no effect any more is forgotten', async () => {
    const { clock, stores } = await processes()
    const [store] = stores
    const windows = sharedWindows(store, clock, LIMITS)
    await windows.take({ pair: 'a' })
    await sharedBucket(store, clock, 'b', { limit: 1, windowMs: 1_000 }).take('a')
    await cleanUpLimits(store, clock.now())
    assert.equal(await windows.take({ pair: 'a' }), 0)
    assert.ok((await windows.take({ pair: 'a' })) > 0)
    await clock.advance(1_000)
    await cleanUpLimits(store, clock.now())
    if (database.name === 'postgres') {
      for (const table of ['rate_buckets', 'rate_windows'] as never[]) {
        assert.deepEqual(await store.db.selectFrom(table).selectAll().execute(), [])
      }
    }
    assert.equal(await windows.take({ pair: 'a' }), 0)
  })
})
