import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { SigningKey } from '../matrix/signing.ts'
import type { Store } from '../storage/store.ts'
import { readKeyResponse } from './key-response.ts'
import { loadSigningKey, publishedKeys } from './own-keys.ts'

const SERVER = 'near.example' as ServerName
const clock = createFakeClock()
const partsOf = ({ keyId, publicKey }: SigningKey) => ({ keyId, publicKey })

forEachDatabase((database) => {
  let dataDir: string
  let keyFile: string

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'evergreen-test-keys-'))
    keyFile = join(dataDir, 'signing.key')
  })
  afterEach(() => rmSync(dataDir, { recursive: true }))

  const load = (store: Store, seed: string) =>
    loadSigningKey({ store, clock, random: createSeededRandom(seed), dataDir })

  test('the key is made once and kept', async () => {
    const data = await database.create()
    const store = await data.open()
    const made = await load(store, 'first')
    assert.match(made.keyId, /^ed25519:[A-Za-z0-9_]{4,}$/)
    await store.close()
    assert.deepEqual(partsOf(await load(await data.open(), 'second')), partsOf(made))
  })

  test('servers do not share a key', async () => {
    const one = await load(await database.open(), 'one')
    rmSync(keyFile, { force: true })
    const other = await load(await database.open(), 'other')
    assert.notEqual(one.publicKey, other.publicKey)
    assert.notEqual(one.keyId, other.keyId)
  })

  test('what is published is what others accept, and for a day', async () => {
    const key = await load(await database.open(), 'published')
    const keys = readKeyResponse(publishedKeys(SERVER, key, clock.now()), SERVER, clock.now())
    assert.ok(typeof keys !== 'string')
    assert.deepEqual(
      keys.map(({ keyId, publicKey, validUntil }) => ({ keyId, publicKey, validUntil })),
      [{ ...partsOf(key), validUntil: clock.now() + 24 * 3_600_000 }],
    )
  })

  describe('in the data folder', { skip: database.name === 'postgres' }, () => {
    test('only its owner can read it', async () => {
      await load(await database.open(), 'file')
      assert.equal(statSync(keyFile).mode & 0o777, 0o600)
    })

    test('a file that is no key is refused, and left as it is', async () => {
      for (const text of ['', 'ed25519:a', 'ed25519:a AAAA', `rsa:a ${'A'.repeat(43)}`]) {
        writeFileSync(keyFile, text)
        await assert.rejects(load(await database.open(), 'garbage'), /signing\.key is not a signing key/)
        assert.equal(readFileSync(keyFile, 'utf8'), text)
      }
    })

    test('what is left of a start that was cut off is written over', async () => {
      writeFileSync(`${keyFile}.new`, 'ed255', { mode: 0o644 })
      const made = await load(await database.open(), 'cut off')
      assert.equal(statSync(keyFile).mode & 0o777, 0o600)
      assert.deepEqual(partsOf(await load(await database.open(), 'again')), partsOf(made))
    })
  })

  test('processes that start together have the same key', { skip: database.name === 'sqlite' }, async () => {
    const data = await database.create()
    const stores = await Promise.all([1, 2, 3].map(() => data.open()))
    const keys = await Promise.all(stores.map((store, n) => load(store, `process ${n}`)))
    assert.equal(new Set(keys.map(({ publicKey }) => publicKey)).size, 1)
  })
})
