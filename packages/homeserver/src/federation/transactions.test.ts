import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { badJson } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import { silentLogger } from '../platform/logger.ts'
import type { Store } from '../storage/store.ts'
import { createTransactions, type EduHandler, type Transactions } from './transactions.ts'

const FAR = 'far.example' as ServerName
const OTHER = 'other.example' as ServerName
const NOTHING_WRONG = '{"pdus":{}}'
const DAY = 24 * 3_600_000

const edu = (n: unknown, edu_type = 'test') => ({ edu_type, content: n })

forEachDatabase((database) => {
  let clock: FakeClock
  let store: Store
  /** What handlers were given, by type. */
  let handled: [type: string, origin: string, contents: readonly unknown[]][]
  let handle: (contents: readonly unknown[]) => Promise<void>

  beforeEach(async () => {
    clock = createFakeClock(undefined, { settle: database.settle })
    store = await database.open()
    handled = []
    handle = async () => {}
  })

  function transactions(): Transactions {
    const handlerOf =
      (type: string): EduHandler =>
      async (origin, contents) => {
        handled.push([type, origin, contents])
        await handle(contents)
      }
    const handlers = new Map(['test', 'other'].map((type) => [type, handlerOf(type)]))
    return createTransactions({ store, clock, log: silentLogger, pdus: async () => ({}), handlers })
  }

  const contents = () => handled.map(([, , some]) => some)

  test('EDUs are handed over by type, in order; unknown types and what is no EDU are ignored', async () => {
    const edus = [
      edu(1),
      edu(2, 'other'),
      null,
      'x',
      [],
      { content: 3 },
      edu(4, 'm.typing'),
      edu(5),
      edu(6, 'toString'),
    ]
    assert.equal(await transactions().receive({ origin: FAR, txnId: 't', edus }), NOTHING_WRONG)
    assert.deepEqual(handled, [
      ['test', FAR, [1, 5]],
      ['other', FAR, [2]],
    ])
  })

  test('the same transaction again does nothing, and gets the same answer; one with PDUs after a restart, too', async () => {
    const transaction = { origin: FAR, txnId: 't', edus: [edu(1)] }
    const all = transactions()
    for (const again of [transaction, transaction, { ...transaction, txnId: 'u', pdus: [{}] }]) {
      assert.equal(await all.receive(again), NOTHING_WRONG)
    }
    assert.deepEqual(contents(), [[1], [1]])
    assert.equal(await transactions().receive({ ...transaction, txnId: 'u', pdus: [{}] }), NOTHING_WRONG)
    assert.equal(handled.length, 2)
  })

  test('the same ID of another server, or another ID, is another transaction', async () => {
    const all = transactions()
    await all.receive({ origin: FAR, txnId: 't', edus: [edu(1)] })
    await all.receive({ origin: OTHER, txnId: 't', edus: [edu(2)] })
    await all.receive({ origin: FAR, txnId: 'T', edus: [edu(3)] })
    assert.deepEqual(contents(), [[1], [2], [3]])
  })

  test('one that comes again while it is handled waits for its answer', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    handle = () => promise
    const all = transactions()
    let answered = 0
    const both = [1, 2].map(() =>
      all.receive({ origin: FAR, txnId: 't', edus: [edu(1)] }).then((answer) => {
        answered++
        return answer
      }),
    )
    await clock.advance(0)
    assert.equal(answered, 0)
    resolve()
    assert.deepEqual(await Promise.all(both), [NOTHING_WRONG, NOTHING_WRONG])
    assert.deepEqual(contents(), [[1]])
  })

  for (const [what, error] of [
    ['refused', badJson('poison')],
    ['a bug', new TypeError('poison')],
  ] as const) {
    test(`an EDU that is ${what} fails neither its neighbours nor the transaction`, async () => {
      const taken: unknown[] = []
      handle = async (some) => {
        if (some.includes('poison')) throw error
        taken.push(...some)
      }
      const edus = [edu(1), edu('poison'), edu(2), edu(3, 'other')]
      const all = transactions()
      assert.equal(await all.receive({ origin: FAR, txnId: 't', edus }), NOTHING_WRONG)
      assert.deepEqual(taken, [1, 2, 3])
      const before = handled.length
      await all.receive({ origin: FAR, txnId: 't', edus })
      assert.equal(handled.length, before)
    })
  }

  test('an EDU over which the database fails fails the transaction, after its neighbours; the same again takes it in', async () => {
    const taken: unknown[] = []
    let works = false
    handle = async (some) => {
      if (!works && some.includes('unlucky'))
        throw Object.assign(new Error('terminating connection'), { code: '57P01' })
      taken.push(...some)
    }
    const all = transactions()
    const transaction = { origin: FAR, txnId: 't', edus: [edu('unlucky'), edu(1, 'other')] }
    await assert.rejects(all.receive(transaction), /terminating connection/)
    assert.deepEqual(taken, [1])
    works = true
    assert.equal(await all.receive(transaction), NOTHING_WRONG)
    assert.deepEqual(taken, [1, 'unlucky', 1])
  })

  test('answers are kept for a day after they were given, and then forgotten', async () => {
    const all = transactions()
    const transaction = { origin: FAR, txnId: 't', edus: [edu(1)], pdus: [{}] }
    await all.receive(transaction)
    await clock.advance(DAY)
    await all.cleanUp(clock.now())
    await all.receive(transaction)
    assert.equal(handled.length, 1)
    await clock.advance(1)
    await all.cleanUp(clock.now())
    await all.receive(transaction)
    assert.equal(handled.length, 2)
  })
})
