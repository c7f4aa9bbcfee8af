import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../../test/support/databases.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

const FAR = 'far.example'

forEachDatabase((database) => {
  async function world() {
    const net = await testNetwork(['hs1'], { database })
    const far = net.remote(FAR)
    const alice = await net.servers.hs1.register('alice')
    const put = (body: object, txnId = 't') =>
      far.request('hs1', { method: 'PUT', path: `/_matrix/federation/v1/send/${txnId}`, body })
    /** An EDU that has an effect that one can see. */
    const message = (id: string) => ({
      edu_type: 'm.direct_to_device',
      content: {
        sender: `@bob:${FAR}`,
        type: 'm.test',
        message_id: id,
        messages: { [alice.userId]: { [alice.deviceId]: { id } } },
      },
    })
    const received = async () =>
      ((await alice.sync()).to_device?.events ?? []).map((event: { content: { id: string } }) => event.content.id)
    return { ...net, far, put, message, received }
  }

  test('a transaction takes effect and is answered with its PDUs, of which there are none', async () => {
    const { put, message, received } = await world()
    const { status, body } = await put({
      origin: FAR,
      origin_server_ts: 1,
      pdus: [],
      edus: [message('a'), message('b')],
    })
    assert.deepEqual([status, body], [200, { pdus: {} }])
    assert.deepEqual(await received(), ['a', 'b'])
  })

  test('the same ID again gets the same answer and has no effect', async () => {
    const { put, message, received } = await world()
    await put({ pdus: [], edus: [message('a')] })
    const again = await put({ pdus: [], edus: [message('b')] })
    assert.deepEqual([again.status, again.body], [200, { pdus: {} }])
    assert.deepEqual(await received(), ['a'])
  })

  test('the same transaction after a restart has no effect either', async () => {
    const { put, message, received, servers } = await world()
    await put({ pdus: [], edus: [message('a')] })
    await servers.hs1.restart()
    assert.equal((await put({ pdus: [], edus: [message('a')] })).status, 200)
    assert.deepEqual(await received(), ['a'])
  })

  const wrong: [name: string, body: object, status: number, errcode: string][] = [
    ['more than 100 EDUs', { edus: Array.from({ length: 101 }, () => ({})) }, 400, 'M_BAD_JSON'],
    ['more than 50 PDUs', { pdus: Array.from({ length: 51 }, () => ({})) }, 400, 'M_BAD_JSON'],
    ['EDUs that are no list', { edus: {} }, 400, 'M_BAD_JSON'],
    ['a list', [], 400, 'M_BAD_JSON'],
    ['the name of another server', { origin: 'other.example', edus: [] }, 403, 'M_FORBIDDEN'],
  ]
  test('a transaction that is refused is not remembered', async () => {
    const { put, message, received } = await world()
    for (const [name, body, status, errcode] of wrong) {
      const answer = await put(body)
      assert.deepEqual([answer.status, answer.body.errcode], [status, errcode], name)
    }
    assert.equal((await put({ edus: [message('a')] })).status, 200)
    assert.deepEqual(await received(), ['a'])
  })

  test('a hundred EDUs and fifty PDUs of any kind are taken', async () => {
    const { put, message, received } = await world()
    const edus = [...Array.from({ length: 99 }, () => null), message('a')]
    assert.equal((await put({ edus, pdus: Array.from({ length: 50 }, () => ({})) })).status, 200)
    assert.deepEqual(await received(), ['a'])
  })

  test('a body that is too large, or no JSON, is refused before it is looked at', async () => {
    const { put, servers } = await world()
    const large = await put({ edus: [], x: 'x'.repeat(10 * 1024 * 1024) })
    assert.deepEqual([large.status, large.body.errcode], [413, 'M_TOO_LARGE'])
    const path = '/_matrix/federation/v1/send/t'
    const garbage = await servers.hs1.ask({ method: 'PUT', path, body: '{"edus":' })
    assert.deepEqual([garbage.status, garbage.body.errcode], [400, 'M_NOT_JSON'])
  })

  test('IDs of any characters are told apart, but for those that are too long or cannot be kept', async () => {
    const { put, message, received } = await world()
    for (const [n, txnId] of ['%F0%9F%8C%B2', '%20', "'--", '%2F', 'x'.repeat(255)].entries()) {
      assert.equal((await put({ edus: [message(`${n}`)] }, txnId)).status, 200, txnId)
    }
    assert.deepEqual(await received(), ['0', '1', '2', '3', '4'])
    for (const txnId of ['x'.repeat(256), 'a%00b']) {
      const { status, body } = await put({ edus: [] }, txnId)
      assert.deepEqual([status, body.errcode], [400, 'M_INVALID_PARAM'], txnId)
    }
  })
})
