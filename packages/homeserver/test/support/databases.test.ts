import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openStore, type Store } from '../../src/storage/store.ts'
import { forEachDatabase } from './databases.ts'
import { createFakeClock } from './fake-clock.ts'

const put = (store: Store, name: string, value: string) =>
  store.db.insertInto('server_info').values({ name, value }).execute()
const names = async (store: Store) =>
  (await store.db.selectFrom('server_info').select('name').execute()).map(({ name }) => name)

forEachDatabase((database) => {
  let before: Store | undefined

  test('a store is of the kind that was asked for, migrated and empty', async (t) => {
    const store = await database.open()
    assert.equal(store.dialect, database.name)
    assert.deepEqual(await names(store), [])
    await put(store, 'a', '1')
    t.after(async () => assert.deepEqual(await names(store), ['a'], 'hooks of the test find the store open'))
    before = store
  })

  test('a test finds nothing of the one before, whose store is closed', async () => {
    await assert.rejects(names(before!))
    assert.deepEqual(await names(await database.open()), [])
  })

  test('two stores of one test do not see each other', async () => {
    const [one, other] = [await database.open(), await database.open()]
    await put(one, 'a', '1')
    assert.deepEqual(await names(other), [])
  })

  test('a database can be opened again, and keeps what it has', async () => {
    const place = await database.create()
    const first = await place.open()
    await put(first, 'a', '1')
    await first.close()
    assert.deepEqual(await names(await place.open()), ['a'])
  })

  test('two stores on one database see each other', { skip: database.name === 'sqlite' }, async () => {
    const place = await database.create()
    const [one, other] = [await place.open(), await place.open()]
    await put(one, 'a', '1')
    assert.deepEqual(await names(other), ['a'])
  })

  test('a database that is killed keeps what was committed and loses what was not', async () => {
    const place = await database.create()
    const backend = await place.backend()
    const store = await openStore(backend)
    await put(store, 'committed', '')
    const waits = Promise.withResolvers<void>()
    let ended = false
    const end = () => {
      ended = true
    }
    const underWay = store.transaction(async (tx) => {
      await tx.db.insertInto('server_info').values({ name: 'lost', value: '' }).execute()
      await waits.promise
    })
    void underWay.then(end, end)
    await database.settle()
    void names(store).then(end, end)
    await backend.kill()
    waits.resolve()
    void put(store, 'late', '').then(end, end)
    const next = await place.open()
    assert.deepEqual(await names(next), ['committed'])
    await put(next, 'next', '')
    await database.settle()
    assert.equal(ended, false)
    assert.equal(database.inHand(), 0)
  })

  test('settle waits for everything that needs no clock', async () => {
    const store = await database.open()
    let done = false
    const work = async () => {
      for (let i = 0; i < 20; i++) await put(store, `name ${i}`, 'value')
      await store.transaction(async (tx) => tx.position())
      done = true
    }
    void work()
    await database.settle()
    assert.equal(done, true)
    assert.equal(database.inHand(), 0)
  })

  test('settle waits for a query that failed, too', async () => {
    const store = await database.open()
    await put(store, 'a', '1')
    const failed = assert.rejects(put(store, 'a', 'again'))
    await database.settle()
    assert.equal(database.inHand(), 0)
    await failed
  })

  test('timers of the fake clock find the queries of earlier ones done', async () => {
    const store = await database.open()
    const clock = createFakeClock(0, { settle: database.settle })
    const seen: string[][] = []
    clock.after(10, () => void put(store, 'a', '1').then(() => put(store, 'b', '2')))
    clock.after(11, () => void names(store).then((found) => seen.push(found.sort())))
    await clock.advance(11)
    assert.deepEqual(seen, [['a', 'b']])
  })
})
