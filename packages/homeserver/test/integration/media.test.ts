import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import type { TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'
import type { TestServer } from '../support/test-server.ts'

const DAY = 86_400_000
const BYTES = Buffer.from([0, 255, 13, 10, 45, 45, 128])
const DOWNLOAD = '/_matrix/client/v1/media/download'

async function twoServers(database: TestDatabase) {
  const { servers, ...rest } = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
  const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs2.register('bob')]
  return { ...rest, servers, alice, bob }
}

/** A request whose body and answer are bytes. */
async function raw(
  server: TestServer,
  client: TestClient | undefined,
  method: 'GET' | 'POST' | 'PUT',
  url: string,
  payload?: Buffer,
  headers: Record<string, string> = {},
) {
  const authorization = client ? { authorization: `Bearer ${client.accessToken}` } : {}
  const request = { method, url, headers: { ...authorization, ...headers }, ...(payload && { payload }) }
  const answer = await server.homeserver.app.inject(request)
  const isJson = answer.headers['content-type'] === 'application/json' && answer.statusCode !== 200
  return {
    status: answer.statusCode,
    headers: answer.headers,
    bytes: answer.rawPayload,
    errcode: isJson ? answer.json().errcode : undefined,
  }
}

/** Uploads, and gives what stands behind `mxc://`. */
async function upload(server: TestServer, client: TestClient, type = 'image/png', query = '', bytes = BYTES) {
  const url = `/_matrix/media/v3/upload${query}`
  const answer = await raw(server, client, 'POST', url, bytes, { 'content-type': type })
  assert.equal(answer.status, 200, answer.bytes.toString())
  return JSON.parse(answer.bytes.toString()).content_uri.slice('mxc://'.length) as string
}

forEachDatabase((database) => {
  describe('media', () => {
    test('come back byte by byte, here and on another server, which keeps a copy', async () => {
      const { alice, bob, servers, network } = await twoServers(database)
      const mxc = await upload(servers.hs1, alice, 'image/png', '?filename=caf%C3%A9.png')
      const own = await raw(servers.hs1, alice, 'GET', `${DOWNLOAD}/${mxc}`)
      const remote = await raw(servers.hs2, bob, 'GET', `${DOWNLOAD}/${mxc}`)
      for (const answer of [own, remote]) {
        assert.equal(answer.status, 200, answer.bytes.toString())
        assert.deepEqual(answer.bytes, BYTES)
        assert.equal(answer.headers['content-type'], 'image/png')
        assert.equal(answer.headers['content-disposition'], "inline; filename*=utf-8''caf%C3%A9.png")
        assert.match(String(answer.headers['content-security-policy']), /^sandbox;/)
        assert.equal(answer.headers['x-content-type-options'], 'nosniff')
        assert.equal(answer.headers['cross-origin-resource-policy'], 'cross-origin')
      }
      network.partition(['hs1'], ['hs2'])
      assert.deepEqual((await raw(servers.hs2, bob, 'GET', `${DOWNLOAD}/${mxc}/other.png`)).bytes, BYTES)
    })

    test('are for those who have logged in, and are never run', async () => {
      const { alice, servers } = await twoServers(database)
      const mxc = await upload(servers.hs1, alice, 'text/html')
      assert.equal((await raw(servers.hs1, undefined, 'GET', `${DOWNLOAD}/${mxc}`)).errcode, 'M_MISSING_TOKEN')
      assert.equal((await raw(servers.hs1, undefined, 'POST', '/_matrix/media/v3/upload', BYTES)).status, 401)
      const page = await raw(servers.hs1, alice, 'GET', `${DOWNLOAD}/${mxc}`)
      assert.equal(page.headers['content-disposition'], 'attachment')
      const named = await raw(servers.hs1, alice, 'GET', `${DOWNLOAD}/${mxc}/page.html`)
      assert.equal(named.headers['content-disposition'], 'attachment; filename="page.html"')
    })

    test('that are not there, or whose server is not', async () => {
      const { alice, servers, network } = await twoServers(database)
      const get = async (mxc: string) => {
        const { status, errcode } = await raw(servers.hs1, alice, 'GET', `${DOWNLOAD}/${mxc}`)
        return [status, errcode]
      }
      assert.deepEqual(await get('hs1/nothing'), [404, 'M_NOT_FOUND'])
      assert.deepEqual(await get('hs2/nothing'), [404, 'M_NOT_FOUND'])
      assert.deepEqual(await get('hs1/..%2f..%2flock'), [400, 'M_INVALID_PARAM'])
      assert.deepEqual(await get('not%20a%20server/x'), [400, 'M_INVALID_PARAM'])
      network.partition(['hs1'], ['hs2'])
      assert.deepEqual(await get('hs2/other'), [502, 'M_UNKNOWN'])
    })

    test('may be of 50 MiB and not a byte more', async () => {
      const { alice, servers } = await twoServers(database)
      const config = await raw(servers.hs1, alice, 'GET', '/_matrix/client/v1/media/config')
      const most = JSON.parse(config.bytes.toString())['m.upload.size']
      assert.equal(most, 50 * 1024 * 1024)
      const bytes = Buffer.alloc(most + 1)
      const announced = await raw(servers.hs1, alice, 'POST', '/_matrix/media/v3/upload', bytes)
      assert.deepEqual([announced.status, announced.errcode], [413, 'M_TOO_LARGE'])
      const { media } = servers.hs1.homeserver.ctx
      const content = (async function* () {
        yield bytes.subarray(0, most)
        yield bytes.subarray(most)
      })()
      const unannounced = media.upload(alice.userId as never, { contentType: 'a/b', fileName: undefined, content })
      await assert.rejects(unannounced, { errcode: 'M_TOO_LARGE' })
    })

    test('can be given an address first', async () => {
      const { alice, servers, clock } = await twoServers(database)
      const { hs1 } = servers
      const carol = await hs1.register('carol')
      const announce = async () =>
        JSON.parse((await raw(hs1, alice, 'POST', '/_matrix/media/v1/create')).bytes.toString())
      const { content_uri: uri, unused_expires_at: expiresAt } = await announce()
      const mxc = uri.slice('mxc://'.length)
      assert.equal(expiresAt, clock.now() + DAY)
      assert.equal((await raw(hs1, alice, 'GET', `${DOWNLOAD}/${mxc}`)).errcode, 'M_NOT_YET_UPLOADED')
      const put = (client: TestClient, address: string) =>
        raw(hs1, client, 'PUT', `/_matrix/media/v3/upload/${address}`, BYTES, { 'content-type': 'image/gif' })
      assert.equal((await put(carol, mxc)).errcode, 'M_FORBIDDEN')
      assert.equal((await put(alice, 'hs1/unknown')).errcode, 'M_NOT_FOUND')
      const both = await Promise.all([put(alice, mxc), put(alice, mxc)])
      assert.deepEqual(both.map(({ status, errcode }) => [status, errcode]).sort(), [
        [200, undefined],
        [409, 'M_CANNOT_OVERWRITE_MEDIA'],
      ])
      assert.deepEqual((await raw(hs1, alice, 'GET', `${DOWNLOAD}/${mxc}`)).bytes, BYTES)

      const late = (await announce()).content_uri.slice('mxc://'.length)
      for (let n = 0; n < 19; n++) await announce()
      assert.equal((await announce()).errcode, 'M_LIMIT_EXCEEDED')
      await clock.advance(DAY)
      assert.equal((await put(alice, late)).errcode, 'M_NOT_FOUND')
    })

    test('are their own thumbnails, if they are pictures', async () => {
      const { alice, bob, servers } = await twoServers(database)
      const picture = await upload(servers.hs1, alice)
      const moving = await upload(servers.hs1, alice, 'image/gif')
      const text = await upload(servers.hs1, alice, 'text/plain')
      const thumbnail = (mxc: string, query: string) =>
        raw(servers.hs2, bob, 'GET', `/_matrix/client/v1/media/thumbnail/${mxc}?${query}`)
      assert.deepEqual((await thumbnail(picture, 'width=32&height=32&method=crop')).bytes, BYTES)
      assert.equal((await thumbnail(moving, 'width=32&height=32')).status, 200)
      assert.equal((await thumbnail(moving, 'width=32&height=32&animated=false')).errcode, 'M_UNKNOWN')
      assert.equal((await thumbnail(text, 'width=32&height=32')).errcode, 'M_UNKNOWN')
      assert.equal((await thumbnail(picture, 'width=0&height=32')).errcode, 'M_INVALID_PARAM')
    })
  })
})
