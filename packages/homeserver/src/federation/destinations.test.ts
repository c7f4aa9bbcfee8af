import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ServerName } from '../matrix/ids.ts'
import { destinationRow } from '../storage/destinations.ts'
import type { Store } from '../storage/store.ts'
import { createDestinations, type Destinations } from './destinations.ts'

const FAR = 'far.example' as ServerName
const OTHER = 'other.example' as ServerName
const SETTINGS = { retryBase: 2_000, retryCapEarly: 20_000, retryCapWaited: 600_000, silenceSuspect: 900_000 }
const PROBE_MS = 30_000

forEachDatabase((database) => {
  let clock: FakeClock
  let random: { fraction(): number; bytes(length: number): Buffer }

  beforeEach(() => {
    clock = createFakeClock(undefined, { settle: database.settle })
    // No jitter: waits are as long as they can be.
    random = { ...createSeededRandom('destinations'), fraction: () => 1 }
  })

  const on = (store: Store): Destinations => createDestinations({ store, clock, random, settings: SETTINGS })
  const opened = async () => on(await database.open())
  const ask = (destinations: Destinations, urgency: 'normal' | 'insist' = 'normal', serverName = FAR) =>
    destinations.mayRequest(serverName, urgency, PROBE_MS)
  /** The wait that a failure leads to (ms). */
  async function waitAfterFailure(destinations: Destinations): Promise<number> {
    await destinations.recordFailure(FAR, 'refused')
    return (await destinations.backoffOf(FAR)).nextAttemptAt! - clock.now()
  }

  describe('back-off', () => {
    test('a server that nothing is known of may be asked, as often as one likes', async () => {
      const destinations = await opened()
      for (let n = 0; n < 3; n++) assert.deepEqual(await ask(destinations), { go: true })
    })

    test('waits double from the base to the early cap, and after ten minutes to the later one', async () => {
      const destinations = await opened()
      const early: number[] = []
      for (let n = 0; n < 6; n++) early.push(await waitAfterFailure(destinations))
      assert.deepEqual(early, [2_000, 4_000, 8_000, 16_000, 20_000, 20_000])
      await clock.advance(10 * 60_000 - 1)
      assert.equal(await waitAfterFailure(destinations), 20_000)
      await clock.advance(1)
      assert.equal(await waitAfterFailure(destinations), 2_000 * 2 ** 7)
      for (let n = 0; n < 3; n++) await waitAfterFailure(destinations)
      assert.equal(await waitAfterFailure(destinations), 600_000)
    })

    test('jitter takes off a quarter at most', async () => {
      random = { ...random, fraction: () => 0 }
      assert.equal(await waitAfterFailure(await opened()), 1_500)
    })

    test('while it lasts only whoever insists may ask; it is told when it ends', async () => {
      const destinations = await opened()
      await destinations.recordFailure(FAR, 'refused')
      assert.deepEqual(await ask(destinations), { go: false, retryAt: clock.now() + 2_000 })
      assert.deepEqual(await ask(destinations, 'insist'), { go: true })
      assert.deepEqual(await ask(destinations, 'normal', OTHER), { go: true })
      await clock.advance(2_000)
      assert.deepEqual(await ask(destinations), { go: true })
    })

    test('an answer ends it, and the next failure begins at the base again', async () => {
      const destinations = await opened()
      for (let n = 0; n < 4; n++) await destinations.recordFailure(FAR, 'refused')
      await clock.advance(60_000)
      await destinations.recordSuccess(FAR)
      assert.deepEqual(await ask(destinations), { go: true })
      const { failures, failingSince, nextAttemptAt, lastError } = await destinations.backoffOf(FAR)
      assert.deepEqual([failures, failingSince, nextAttemptAt, lastError], [0, null, null, null])
      await clock.advance(10 * 60_000)
      assert.equal(await waitAfterFailure(destinations), 2_000)
    })

    test('outlives a restart, with what went wrong', async () => {
      const data = await database.create()
      const store = await data.open()
      const before = on(store)
      await before.recordSuccess(FAR)
      for (let n = 0; n < 5; n++) await before.recordFailure(FAR, 'connection: refused')
      await store.close()
      const after = on(await data.open())
      assert.deepEqual(await ask(after), { go: false, retryAt: clock.now() + 20_000 })
      assert.deepEqual(await after.backoffOf(FAR), {
        failures: 5,
        failingSince: clock.now(),
        nextAttemptAt: clock.now() + 20_000,
        retryAfterUntil: null,
        lastError: 'connection: refused',
      })
    })
  })

  describe('probes', () => {
    test('one at a time; who sent it and never came back is made up for', async () => {
      const destinations = await opened()
      await destinations.recordFailure(FAR, 'refused')
      await clock.advance(2_000)
      const asked = await Promise.all(Array.from({ length: 10 }, () => ask(destinations)))
      assert.equal(asked.filter(({ go }) => go).length, 1)
      assert.deepEqual(await ask(destinations), { go: false, retryAt: clock.now() + PROBE_MS })
      await clock.advance(PROBE_MS)
      assert.deepEqual(await ask(destinations), { go: true })
    })

    test('one at a time of two processes', { skip: database.name === 'sqlite' }, async () => {
      const data = await database.create()
      const [here, there] = [on(await data.open()), on(await data.open())]
      await here.recordFailure(FAR, 'refused')
      assert.deepEqual(await ask(there), { go: false, retryAt: clock.now() + 2_000 })
      await clock.advance(2_000)
      const asked = await Promise.all(Array.from({ length: 10 }, (_, n) => ask(n % 2 ? here : there)))
      assert.equal(asked.filter(({ go }) => go).length, 1)
      await there.recordSuccess(FAR)
      assert.deepEqual(await ask(here), { go: true })
    })
  })

  describe('a wait that the server asks for', () => {
    test('holds for everybody, also for who insists, and after a success', async () => {
      const destinations = await opened()
      await destinations.recordSuccess(FAR)
      await destinations.recordLimit(FAR, 60_000)
      const wait = { go: false, retryAt: clock.now() + 60_000 }
      assert.deepEqual(await ask(destinations), wait)
      assert.deepEqual(await ask(destinations, 'insist'), wait)
      await destinations.recordSuccess(FAR)
      await destinations.heardFrom(FAR)
      assert.deepEqual(await ask(destinations, 'insist'), wait)
      await clock.advance(60_000)
      assert.deepEqual(await ask(destinations), { go: true })
      await destinations.recordSuccess(FAR)
      assert.deepEqual(await ask(destinations), { go: true })
    })

    test('is no failure, and five seconds where it does not say', async () => {
      const destinations = await opened()
      await destinations.recordLimit(FAR, undefined)
      assert.deepEqual(await ask(destinations), { go: false, retryAt: clock.now() + 5_000 })
      assert.equal((await destinations.backoffOf(FAR)).failures, 0)
    })

    test('comes on top of a back-off, and outlives a restart', async () => {
      const data = await database.create()
      const store = await data.open()
      await on(store).recordFailure(FAR, 'answered 503', 7_000)
      await store.close()
      const destinations = on(await data.open())
      assert.deepEqual(await ask(destinations, 'insist'), { go: false, retryAt: clock.now() + 7_000 })
      // A later failure that does not say how long to wait leaves it alone.
      await destinations.recordFailure(FAR, 'refused')
      assert.deepEqual(await ask(destinations, 'insist'), { go: false, retryAt: clock.now() + 7_000 })
      await clock.advance(7_000)
      assert.deepEqual(await ask(destinations), { go: true })
    })
  })

  describe('news that it is up', () => {
    test('a request of its own ends the back-off, and is told once', async () => {
      const destinations = await opened()
      const up: string[] = []
      destinations.onUp((serverName) => up.push(serverName))
      await destinations.recordFailure(FAR, 'refused')
      await destinations.recordFailure(FAR, 'refused')
      await destinations.heardFrom(FAR)
      assert.deepEqual(await ask(destinations), { go: true })
      await destinations.heardFrom(FAR)
      await destinations.recordSuccess(FAR)
      await clock.advance(120_000)
      await destinations.heardFrom(FAR)
      assert.deepEqual(up, [FAR])
      await destinations.recordFailure(FAR, 'refused')
      await destinations.recordSuccess(FAR)
      assert.deepEqual(up, [FAR, FAR])
    })

    test('is told once of many requests at the same time', async () => {
      const destinations = await opened()
      let told = 0
      destinations.onUp(() => told++)
      await destinations.recordFailure(FAR, 'refused')
      await Promise.all(Array.from({ length: 20 }, () => destinations.heardFrom(FAR)))
      assert.equal(told, 1)
    })

    test('nobody is told of a server that was never down', async () => {
      const destinations = await opened()
      destinations.onUp(() => assert.fail('it was up'))
      await destinations.heardFrom(FAR)
      await destinations.recordSuccess(OTHER)
      await destinations.recordLimit(OTHER, 1)
      await destinations.recordSuccess(OTHER)
    })
  })

  test('of a server that is fine is written down once a minute', async () => {
    const store = await database.open()
    const destinations = on(store)
    const lastSuccess = async () => (await destinationRow(store.db, FAR))?.last_success_at
    await destinations.recordSuccess(FAR)
    const first = clock.now()
    await clock.advance(59_999)
    await destinations.recordSuccess(FAR)
    assert.equal(await lastSuccess(), first)
    await clock.advance(1)
    await destinations.recordSuccess(FAR)
    assert.equal(await lastSuccess(), first + 60_000)
  })
})
