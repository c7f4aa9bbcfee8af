import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../test/support/memory-network.ts'
import { peakInFlight } from '../../test/support/request-log.ts'
import { jsonResponse, textResponse } from '../../test/support/responses.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ServerName } from '../matrix/ids.ts'
import { signingKeyFromSeed } from '../matrix/signing.ts'
import { sleep } from '../platform/clock.ts'
import { silentLogger } from '../platform/logger.ts'
import type { HttpResponse } from '../platform/network.ts'
import type { Store } from '../storage/store.ts'
import { createFederation, type Federation } from './federation.ts'
import { createSender, type EduSource, type PduSource, type Sender } from './sender.ts'

const NEAR = 'near.example' as ServerName
const FAR = 'far.example' as ServerName
const OTHER = 'other.example' as ServerName
const SETTINGS = {
  allowPrivate: false,
  deny: ['denied.example'],
  allow: [],
  oldKeys: [],
  retries: { retryBase: 2_000, retryCapEarly: 20_000, retryCapWaited: 600_000, silenceSuspect: 900_000 },
}

/** A queue of events, each with its place in a room. */
function createEventQueue() {
  const rows: { destination: ServerName; n: number }[] = []
  const source: PduSource = {
    destinations: async () => [...new Set(rows.map(({ destination }) => destination))],
    async take(destination, limit) {
      const taken = rows.filter((row) => row.destination === destination).slice(0, limit)
      return {
        id: taken.map(({ n }) => n).join(),
        pdus: taken.map(({ n }) => ({ n })),
        async delivered(tx) {
          tx.afterCommit(() => rows.splice(0, rows.length, ...rows.filter((row) => !taken.includes(row))))
        },
      }
    },
  }
  return { source, rows }
}

/** A queue of numbers. What is delivered goes with the commit. */
function createQueue() {
  const rows: { destination: ServerName; n: number }[] = []
  const source: EduSource = {
    destinations: async () => [...new Set(rows.map(({ destination }) => destination))],
    async take(destination, limit) {
      const taken = rows.filter((row) => row.destination === destination).slice(0, limit)
      return {
        id: taken.map(({ n }) => n).join(),
        edus: taken.map(({ n }) => ({ edu_type: 'test', content: { n } })),
        async delivered(tx) {
          tx.afterCommit(() => rows.splice(0, rows.length, ...rows.filter((row) => !taken.includes(row))))
        },
      }
    },
  }
  return {
    source,
    add(destination: ServerName, ...numbers: number[]) {
      rows.push(...numbers.map((n) => ({ destination, n })))
    },
    left: (destination = FAR) => rows.filter((row) => row.destination === destination).map(({ n }) => n),
  }
}

forEachDatabase((database) => {
  let clock: FakeClock
  let network: MemoryNetwork
  let store: Store
  let queue: ReturnType<typeof createQueue>
  let events: ReturnType<typeof createEventQueue>
  let answer: () => HttpResponse | Promise<HttpResponse>

  beforeEach(async () => {
    clock = createFakeClock(undefined, { settle: database.settle })
    network = createMemoryNetwork(clock)
    store = await database.open()
    queue = createQueue()
    events = createEventQueue()
    answer = () => jsonResponse(200, { pdus: {} })
    network.host(FAR, async () => answer())
    network.host(OTHER, async () => jsonResponse(200, { pdus: {} }))
  })

  function start(sources: EduSource[] = [queue.source], seed = 'sender'): Sender & { federation: Federation } {
    const random = { ...createSeededRandom(seed), fraction: () => 1 }
    const platform = { clock, random, network: network.of(NEAR), log: silentLogger }
    const signingKey = signingKeyFromSeed('ed25519:1', Buffer.alloc(32, 1))
    const federation = createFederation({ store, platform, serverName: NEAR, signingKey, settings: SETTINGS })
    const { destinations } = federation
    const sender = createSender({
      ...platform,
      store,
      serverName: NEAR,
      client: federation,
      destinations,
      events: events.source,
      sources,
    })
    sender.start()
    return { ...sender, federation }
  }

  const sent = (to = FAR) => network.requests({ to, path: '/_matrix/federation/v1/send/' })
  const numbersIn = (request: { body: { edus: { content: { n: number } }[] } }) =>
    request.body.edus.map(({ content }) => content.n)

  describe('what is queued', () => {
    test('before the start and while it runs is sent, in order, and taken off', async () => {
      queue.add(FAR, 1, 2)
      queue.add(OTHER, 3)
      const sender = start()
      await clock.advance(0)
      queue.add(FAR, 4)
      sender.wake([FAR])
      await clock.advance(0)
      assert.deepEqual([sent().map(numbersIn), sent(OTHER).map(numbersIn)], [[[1, 2], [4]], [[3]]])
      assert.deepEqual([queue.left(), queue.left(OTHER)], [[], []])
      const { body, method } = sent()[0]!
      assert.equal(method, 'PUT')
      assert.deepEqual([body.origin, body.origin_server_ts, body.pdus], [NEAR, clock.now(), []])
      await sender.stop()
      assert.equal(clock.pendingTimers(), 0)
    })

    test('goes out together: fifty events and a hundred EDUs at a time', async () => {
      events.rows.push(...Array.from({ length: 70 }, (_, n) => ({ destination: FAR, n })))
      queue.add(FAR, ...Array.from({ length: 130 }, (_, n) => n))
      const sender = start()
      await clock.advance(0)
      assert.deepEqual(
        sent().map(({ body }) => [body.pdus.length, body.edus.length]),
        [
          [50, 100],
          [20, 30],
        ],
      )
      assert.deepEqual(
        sent().flatMap(({ body }) => body.pdus.map(({ n }: { n: number }) => n)),
        Array.from({ length: 70 }, (_, n) => n),
      )
      assert.deepEqual([events.rows, queue.left()], [[], []])
      await sender.stop()
    })

    test('of several processes one sends to a destination at a time', async (t) => {
      if (database.name === 'sqlite') return t.skip('SQLite has one process')
      answer = async () => {
        await sleep(clock, 500)
        return jsonResponse(200, {})
      }
      const [one, two] = [start(), start([queue.source], 'another process')]
      for (let n = 0; n < 4; n++) {
        events.rows.push({ destination: FAR, n })
        one.wake([FAR])
        two.wake([FAR])
        await clock.advance(200)
      }
      await clock.advance(5_000)
      assert.deepEqual(events.rows, [])
      assert.equal(peakInFlight(sent()), 1)
      const order = sent().flatMap(({ body }) => body.pdus.map(({ n }: { n: number }) => n))
      assert.deepEqual(order, [0, 1, 2, 3])
      await Promise.all([one.stop(), two.stop()])
    })

    test('is sent a hundred at a time, whichever sources they are from', async () => {
      const second = createQueue()
      const numbers = Array.from({ length: 250 }, (_, n) => n)
      queue.add(FAR, ...numbers.slice(0, 130))
      second.add(FAR, ...numbers.slice(130))
      const sender = start([queue.source, second.source])
      await clock.advance(0)
      assert.deepEqual(
        sent().map((request) => numbersIn(request).length),
        [100, 100, 50],
      )
      assert.deepEqual(sent().flatMap(numbersIn), numbers)
      assert.equal(peakInFlight(sent()), 1)
      assert.equal(new Set(sent().map(({ path }) => path)).size, 3)
      await sender.stop()
    })

    test('comes to a destination one transaction at a time, to several at once', async () => {
      answer = async () => {
        await sleep(clock, 1_000)
        return jsonResponse(200, {})
      }
      queue.add(FAR, 1)
      const sender = start()
      await clock.advance(0)
      for (const n of [2, 3, 4]) {
        queue.add(FAR, n)
        queue.add(OTHER, n)
        sender.wake([FAR, OTHER])
        await clock.advance(100)
      }
      assert.deepEqual([sent().length, sent(OTHER).length], [1, 3])
      await clock.advance(2_000)
      assert.deepEqual(sent().map(numbersIn), [[1], [2, 3, 4]])
      assert.equal(peakInFlight(sent()), 1)
      await sender.stop()
    })

    test('for a server that the settings deny is dropped', async () => {
      const denied = 'denied.example' as ServerName
      queue.add(denied, 1)
      const sender = start()
      await clock.advance(0)
      assert.deepEqual([sent(denied), queue.left(denied)], [[], []])
      await sender.stop()
    })
  })

  describe('a destination that is down', () => {
    test('gets the same transaction again and again, until it takes it', async () => {
      queue.add(FAR, 1, 2)
      answer = () => textResponse(503, '')
      const sender = start()
      await clock.advance(0)
      await clock.advance(1_999)
      assert.equal(sent().length, 1)
      await clock.advance(1)
      assert.equal(sent().length, 2)
      answer = () => jsonResponse(200, {})
      await clock.advance(4_000)
      assert.equal(sent().length, 3)
      assert.equal(new Set(sent().map(({ path }) => path)).size, 1)
      assert.deepEqual(queue.left(), [])
      await sender.stop()
    })

    test('gets it under the same ID after a restart, too', async () => {
      queue.add(FAR, 1, 2)
      // The answer is lost: for all the sender knows nothing arrived.
      network.fault(NEAR, FAR, { loseAnswer: true })
      const before = start()
      await clock.advance(0)
      await before.stop()
      network.heal()
      const after = start()
      await clock.advance(2_000)
      assert.deepEqual(sent().map(numbersIn), [
        [1, 2],
        [1, 2],
      ])
      assert.equal(sent()[0]!.path, sent()[1]!.path)
      assert.deepEqual(queue.left(), [])
      await after.stop()
    })

    test('gets what is queued as soon as it is heard from', async () => {
      queue.add(FAR, 1)
      answer = () => textResponse(502, '')
      const sender = start()
      await clock.advance(60_000)
      const tries = sent().length
      answer = () => jsonResponse(200, {})
      await sender.federation.destinations.heardFrom(FAR)
      await clock.advance(0)
      assert.deepEqual([sent().length, queue.left()], [tries + 1, []])
      await sender.stop()
    })

    test('holds up nobody else, and news for it cause no requests', async () => {
      answer = () => textResponse(502, '')
      const sender = start()
      for (const n of [1, 2, 3]) {
        queue.add(FAR, n)
        queue.add(OTHER, n)
        sender.wake([FAR, OTHER])
        await clock.advance(100)
      }
      assert.deepEqual([sent().length, sent(OTHER).length], [1, 3])
      await sender.stop()
    })

    test('and hangs, as sixty others do, holds up nobody else for long', async () => {
      const hanging = Array.from({ length: 60 }, (_, n) => `hangs${n}.example` as ServerName)
      for (const server of hanging) {
        network.host(server, () => new Promise(() => {}))
        queue.add(server, 1)
      }
      const sender = start()
      await clock.advance(100)
      queue.add(OTHER, 1)
      sender.wake([OTHER])
      await clock.advance(6_000)
      assert.deepEqual(queue.left(OTHER), [])
      await sender.stop()
    })

    test('that asks to wait gets nothing before', async () => {
      queue.add(FAR, 1)
      answer = () => textResponse(429, '', { 'retry-after': '100' })
      const sender = start()
      await clock.advance(99_999)
      assert.equal(sent().length, 1)
      answer = () => jsonResponse(200, {})
      await clock.advance(1)
      assert.deepEqual([sent().length, queue.left()], [2, []])
      await sender.stop()
    })

    test('does not keep it from stopping', async () => {
      queue.add(FAR, 1)
      answer = () => new Promise(() => {})
      const sender = start()
      await clock.advance(1_000)
      await sender.stop()
      assert.deepEqual([sent()[0]!.outcome, queue.left()], ['aborted', [1]])
      assert.equal((await sender.federation.destinations.backoffOf(FAR)).failures, 0)
      sender.wake([FAR])
      await clock.advance(600_000)
      assert.equal(sent().length, 1)
    })
  })

  describe('a destination that does not take a transaction', () => {
    for (const status of [400, 413]) {
      test(`and calls it bad (${status}): tried five times at growing intervals, then dropped`, async () => {
        queue.add(FAR, 1)
        answer = () => textResponse(status, '')
        const sender = start()
        await clock.advance(60_000)
        const start0 = sent()[0]!.at
        assert.deepEqual(
          sent().map(({ at }) => at - start0),
          [0, 2_000, 6_000, 14_000, 30_000],
        )
        assert.deepEqual(queue.left(), [])
        answer = () => jsonResponse(200, {})
        queue.add(FAR, 2)
        sender.wake([FAR])
        await clock.advance(0)
        assert.deepEqual(numbersIn(sent().at(-1)!), [2])
        await sender.stop()
      })
    }

    const refusals: [name: string, refusal: () => HttpResponse][] = [
      ['401', () => textResponse(401, '')],
      ['403', () => textResponse(403, '')],
      ['404', () => textResponse(404, '')],
      ['a redirect', () => textResponse(302, '', { location: '/' })],
      ['a page of a proxy', () => textResponse(200, '<html>')],
      ['an answer without end', () => textResponse(200, 'x'.repeat(10 * 1024 * 1024 + 1))],
    ]
    for (const [name, refusal] of refusals) {
      test(`${name}: kept, and tried again at growing intervals`, async () => {
        queue.add(FAR, 1)
        answer = refusal
        const sender = start()
        await clock.advance(3_600_000)
        const tries = sent().length
        assert.ok(tries >= 10 && tries <= 20, `${tries} tries in an hour`)
        assert.deepEqual(queue.left(), [1])
        answer = () => jsonResponse(200, {})
        await clock.advance(600_000)
        assert.deepEqual([sent().length, queue.left()], [tries + 1, []])
        await sender.stop()
      })
    }
  })

  test('a clock that is set back makes a destination rest for no longer', async () => {
    queue.add(FAR, 1)
    answer = () => textResponse(404, '')
    const sender = start()
    await clock.advance(60_000)
    answer = () => jsonResponse(200, {})
    clock.set(clock.now() - 3_600_000)
    await clock.advance(120_000)
    assert.deepEqual(queue.left(), [])
    await sender.stop()
  })

  test('all of a transaction is taken off the queues together, or nothing', async () => {
    const second = createQueue()
    let broken = true
    const breaking: EduSource = {
      ...second.source,
      async take(destination, limit) {
        const batch = await second.source.take(destination, limit)
        return {
          ...batch,
          async delivered(tx) {
            await batch.delivered(tx)
            if (broken) throw new Error('the database is full')
          },
        }
      },
    }
    queue.add(FAR, 1)
    second.add(FAR, 2)
    const sender = start([queue.source, breaking])
    await clock.advance(0)
    assert.deepEqual([queue.left(), second.left(), sent().length], [[1], [2], 1])
    // What fails on our side is not tried again at once.
    await clock.advance(4_999)
    assert.equal(sent().length, 1)
    broken = false
    await clock.advance(1)
    assert.deepEqual([queue.left(), second.left(), sent().length], [[], [], 2])
    assert.equal(sent()[0]!.path, sent()[1]!.path)
    await sender.stop()
  })
})
