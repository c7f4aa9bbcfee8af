import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { roomWithRemote, U } from '../support/remote-in-room.ts'

const V1 = '/_matrix/federation/v1'
const e = encodeURIComponent

async function served(database: TestDatabase, creation: object = {}) {
  const made = await roomWithRemote(database, { creation })
  const { remote, room, alice, roomId } = made
  const get = (path: string) => remote.request('hs1', { method: 'GET', path: `${V1}${path}` })
  const post = (path: string, body: object) => remote.request('hs1', { method: 'POST', path: `${V1}${path}`, body })
  const say = async (body: string): Promise<string> => {
    const path = `/rooms/${e(roomId)}/send/m.room.message/${e(body)}`
    const { body: answer } = await alice.request('PUT', path, { msgtype: 'm.text', body })
    return answer.event_id
  }
  const setState = async (type: string, content: object): Promise<string> =>
    (await alice.request('PUT', `/rooms/${e(roomId)}/state/${type}`, content)).body.event_id
  const bodies = (pdus: { content: { body?: string } }[]) => pdus.map((pdu) => pdu.content.body)
  return { ...made, room, get, post, say, setState, bodies }
}

forEachDatabase((database) => {
  describe('events for other servers', () => {
    test('one event', async () => {
      const { get, say } = await served(database)
      const id = await say('hello')
      const { status, body } = await get(`/event/${e(id)}`)
      assert.equal(status, 200)
      assert.deepEqual([body.origin, typeof body.origin_server_ts, body.pdus.length], ['hs1', 'number', 1])
      assert.equal(body.pdus[0].content.body, 'hello')
      assert.equal((await get('/event/%24unknown')).status, 404)
    })

    test('the state before an event, as IDs and as events, with what authorizes it', async () => {
      const { get, say, setState, roomId, room } = await served(database)
      const topic = await setState('m.room.topic', { topic: 'before' })
      const id = await say('hello')
      const after = await setState('m.room.name', { name: 'after' })
      const ids = (await get(`/state_ids/${e(roomId)}?event_id=${e(id)}`)).body
      assert.ok(ids.pdu_ids.includes(topic) && !ids.pdu_ids.includes(after))
      assert.deepEqual(ids.pdu_ids.length, room.state.size + 1)
      const create = [...room.state.values()].find((event) => event.type === 'm.room.create')!
      assert.ok(ids.auth_chain_ids.includes(create.eventId))
      const whole = (await get(`/state/${e(roomId)}?event_id=${e(id)}`)).body
      assert.equal(whole.pdus.length, ids.pdu_ids.length)
      assert.equal(whole.auth_chain.length, ids.auth_chain_ids.length)
      assert.equal((await get(`/state_ids/${e(roomId)}?event_id=%24unknown`)).status, 404)
      assert.equal((await get(`/state_ids/${e(roomId)}`)).status, 400)
    })

    test('what lies before and between events', async () => {
      const { get, post, say, roomId, bodies } = await served(database)
      const ids: string[] = []
      for (let n = 0; n < 8; n++) ids.push(await say(`${n}`))
      const { body } = await get(`/backfill/${e(roomId)}?v=${e(ids[5]!)}&limit=4`)
      assert.deepEqual(bodies(body.pdus), ['5', '4', '3', '2'])
      const between = { latest_events: [ids[7]], earliest_events: [ids[3]], limit: 10 }
      const missing = await post(`/get_missing_events/${e(roomId)}`, between)
      assert.deepEqual(bodies(missing.body.events), ['4', '5', '6'])
      const few = await post(`/get_missing_events/${e(roomId)}`, { ...between, limit: 2 })
      assert.deepEqual(bodies(few.body.events), ['5', '6'])
      assert.deepEqual((await post(`/get_missing_events/${e(roomId)}`, {})).body, { events: [] })
      assert.equal((await get(`/backfill/${e(roomId)}?v=x&limit=4`)).status, 400)
    })

    test('what authorizes an event, and the event nearest to a time', async () => {
      const { get, say, roomId, clock } = await served(database)
      const id = await say('hello')
      const { body } = await get(`/event_auth/${e(roomId)}/${e(id)}`)
      const types = body.auth_chain.map((pdu: { type: string }) => pdu.type)
      for (const type of ['m.room.create', 'm.room.power_levels', 'm.room.member'])
        assert.ok(types.includes(type), type)
      const near = await get(`/timestamp_to_event/${e(roomId)}?ts=${clock.now()}&dir=b`)
      assert.equal(near.body.event_id, id)
      assert.equal((await get(`/timestamp_to_event/${e(roomId)}?ts=${clock.now() + 1}&dir=f`)).status, 404)
    })

    test('what a server may not see is redacted', async () => {
      const hidden = { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }
      const { get, room, say, roomId, bodies } = await served(database, { initial_state: [hidden], name: 'A name' })
      const id = await say('hello')
      const { body } = await get(`/backfill/${e(roomId)}?v=${e(id)}&limit=100`)
      assert.equal(bodies(body.pdus)[0], 'hello')
      // Alice's events of before the remote's user came.
      const before = body.pdus.find((pdu: { type: string }) => pdu.type === 'm.room.name')
      assert.deepEqual(before.content, {})
      assert.ok(room.events.size > 0)
    })

    test('a server that is not in the room, or is denied, is refused everywhere', async () => {
      const { get, post, say, setState, roomId, room, send, advance } = await served(database)
      const id = await say('hello')
      const asks = [
        () => get(`/state/${e(roomId)}?event_id=${e(id)}`),
        () => get(`/state_ids/${e(roomId)}?event_id=${e(id)}`),
        () => get(`/backfill/${e(roomId)}?v=${e(id)}&limit=1`),
        () => get(`/event_auth/${e(roomId)}/${e(id)}`),
        () => post(`/get_missing_events/${e(roomId)}`, {}),
      ]
      for (const ask of asks) assert.equal((await ask()).status, 200)
      await setState('m.room.server_acl', { allow: ['*'], deny: ['far.example'] })
      for (const ask of asks) {
        const { status, body } = await ask()
        assert.deepEqual([status, body.errcode], [403, 'M_FORBIDDEN'])
      }
      const denied = room.make({ type: 'm.room.message', sender: U, content: { body: 'denied' } })
      assert.match((await send(denied))[denied.eventId].error, /denied/)
      await setState('m.room.server_acl', { allow: ['*'] })
      await advance(1_000)
      const leave = { type: 'm.room.member', sender: U, stateKey: U, content: { membership: 'leave' } }
      await send(room.make(leave))
      for (const ask of [...asks, () => get(`/event/${e(id)}`)]) assert.equal((await ask()).status, 403)
    })
  })
})
