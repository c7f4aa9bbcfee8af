import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../test/support/databases.ts'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { createFileFolder } from '../platform/file-folder.ts'
import { createMedia } from './media.ts'

const DAY = 86_400_000
const ALICE = '@alice:hs1' as UserId
const COPY = { serverName: 'far.example' as ServerName, mediaId: 'copy' }

/** A repository whose other servers have one media each, in the way that old servers have them. */
async function repository(context: TestContext, database: TestDatabase) {
  const folder = mkdtempSync(join(tmpdir(), 'evergreen-media-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const random = createSeededRandom('media')
  const clock = createFakeClock(undefined, { settle: database.settle })
  const asked: string[] = []
  const media = createMedia({
    store: await database.open(),
    clock,
    random,
    serverName: 'hs1' as ServerName,
    files: createFileFolder(folder, () => random.bytes(8).toString('hex')),
    async request(destination, { path }) {
      asked.push(`${destination} ${path}`)
      if (path.startsWith('/_matrix/federation')) {
        return { kind: 'answer', status: 404, headers: {}, body: { errcode: 'M_UNRECOGNIZED' } }
      }
      const headers = { 'content-type': 'image/png', 'content-disposition': 'inline; filename="a.png"' }
      return { kind: 'answer', status: 200, headers, body: undefined, bytes: Buffer.from('far') }
    },
  })
  return { media, clock, asked }
}

async function* bytes(text: string) {
  yield Buffer.from(text)
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

forEachDatabase((database) => {
  test('copies that nobody uses are forgotten, what was uploaded here is not', async (context) => {
    const { media, clock, asked } = await repository(context as TestContext, database)
    const upload = { contentType: 'image/png', fileName: undefined, content: bytes('near') }
    const own = { serverName: 'hs1' as ServerName, mediaId: await media.upload(ALICE, upload) }
    assert.deepEqual(await media.find(COPY), { contentType: 'image/png', fileName: 'a.png', size: 3 })
    assert.equal(await textOf(media.read(COPY)), 'far')
    const requests = asked.length
    for (let n = 0; n < 2; n++) {
      await clock.advance(29 * DAY)
      await media.cleanUp()
      await media.find(COPY)
    }
    assert.equal(asked.length, requests, 'a copy that is used stays')
    await clock.advance(31 * DAY)
    await media.cleanUp()
    await media.find(COPY)
    assert.ok(asked.length > requests)
    assert.equal(await textOf(media.read(own)), 'near')
  })

  test('one that many ask for at the same time is fetched once', async (context) => {
    const { media, asked } = await repository(context as TestContext, database)
    await Promise.all(Array.from({ length: 10 }, () => media.find(COPY)))
    assert.deepEqual(asked, [
      'far.example /_matrix/federation/v1/media/download/copy',
      'far.example /_matrix/media/v3/download/far.example/copy?allow_remote=false',
    ])
  })
})
