import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { createRoom, roomPath } from '../support/room-client.ts'
import { join, joinedRooms, membership, ok, outcome, post, world } from './room-membership-world.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests change answers freely.
type Body = any

/** What the resident server does to its answer to one of the requests. */
type Lie = { to: RegExp; tell: (body: Body) => Body }

/** Alice's room on hs1, which answers hs2 with lies until it is told to be honest. */
async function liarsRoom(database: TestDatabase) {
  const net = await world(database)
  const { hs1 } = net.servers
  let lie: Lie | undefined
  net.network.host('hs1', async (request, from) => {
    const answer = await hs1.handle(request, from)
    if (!lie?.to.test(request.path) || answer.status !== 200) return answer
    const told = lie.tell(JSON.parse(answer.body.toString('utf8')))
    return { ...answer, body: Buffer.from(typeof told === 'string' ? told : JSON.stringify(told)) }
  })
  const roomId = await createRoom(net.alice, { preset: 'public_chat', room_version: '11', name: 'Here' })
  const tell = (next: Lie | undefined) => {
    lie = next
  }
  return { ...net, roomId, tell }
}

const sendJoin = /\/send_join\//
const makeJoin = /\/make_join\//
const without = (type: string) => (body: Body) => ({
  ...body,
  state: body.state.filter((event: Body) => event.type !== type),
})
const event = (changes: object) => (body: Body) => ({ ...body, event: { ...body.event, ...changes } })

const LIES: Record<string, Lie> = {
  'no create event in the state': { to: sendJoin, tell: without('m.room.create') },
  'no join rules, so that nobody can join': { to: sendJoin, tell: without('m.room.join_rules') },
  'no auth chain, and no state': { to: sendJoin, tell: (body) => ({ ...body, state: [], auth_chain: [] }) },
  'lists that are none': { to: sendJoin, tell: (body) => ({ ...body, state: {}, auth_chain: 'x' }) },
  'members left out': { to: sendJoin, tell: (body) => ({ ...body, members_omitted: true }) },
  'something that is no JSON': { to: sendJoin, tell: () => '<html>' },
  'a name that was changed on the way, in the create event': {
    to: sendJoin,
    tell: (body) => ({
      ...body,
      state: body.state.map((one: Body) =>
        one.type === 'm.room.create' ? { ...one, content: { ...one.content, room_version: '10' } } : one,
      ),
      auth_chain: [],
    }),
  },
  'another room version': { to: makeJoin, tell: (body) => ({ ...body, room_version: '10' }) },
  'a room version that nobody knows': { to: makeJoin, tell: (body) => ({ ...body, room_version: 'x' }) },
  'a template that is no membership': { to: makeJoin, tell: event({ type: 'm.room.power_levels' }) },
  'a template for somebody else': { to: makeJoin, tell: event({ sender: '@other:hs2', state_key: '@other:hs2' }) },
  'a template of another room': { to: makeJoin, tell: event({ room_id: '!other:hs1' }) },
  'a template that bans': { to: makeJoin, tell: event({ content: { membership: 'ban' } }) },
  'a template with links that are none': { to: makeJoin, tell: event({ prev_events: 'all', auth_events: [{}] }) },
  'no template': { to: makeJoin, tell: () => ({}) },
}

forEachDatabase((database) => {
  describe('a resident server that lies', () => {
    for (const [name, lie] of Object.entries(LIES)) {
      test(`${name}: nothing is left behind, and an honest server is believed`, async () => {
        const { bob, alice, roomId, tell, settle } = await liarsRoom(database)
        tell(lie)
        assert.deepEqual(outcome(await join(bob, roomId, 'hs1')), [502, 'M_UNKNOWN'])
        assert.deepEqual(await joinedRooms(bob), [])
        const { status } = await bob.request('GET', roomPath(roomId, 'state'))
        assert.equal(status, 403)
        tell(undefined)
        await ok(join(bob, roomId, 'hs1'))
        await settle()
        assert.equal(await membership(bob, roomId, alice), 'join')
      })
    }

    test('what it makes up of others is no part of the room', async () => {
      const { bob, alice, roomId, tell } = await liarsRoom(database)
      const forged = (body: Body) => {
        const member = body.state.find((one: Body) => one.type === 'm.room.member')
        const other = { ...member, sender: '@eve:hs3', state_key: '@eve:hs3' }
        const renamed = (one: Body) => (one.type === 'm.room.name' ? { ...one, content: { name: 'Elsewhere' } } : one)
        return { ...body, state: [...body.state.map(renamed), other] }
      }
      tell({ to: sendJoin, tell: forged })
      await ok(join(bob, roomId, 'hs1'))
      assert.equal(await membership(bob, roomId, { userId: '@eve:hs3' }), undefined)
      assert.equal(await membership(bob, roomId, alice), 'join')
      const { body } = await bob.request('GET', roomPath(roomId, 'state', 'm.room.name'))
      assert.deepEqual(body, {})
    })

    test('a template puts nothing into what is signed', async () => {
      const { bob, alice, roomId, tell, settle } = await liarsRoom(database)
      const more = (body: Body) => ({
        ...body,
        event: { ...body.event, redacts: '$x', content: { membership: 'join', displayname: 'Fool' } },
      })
      tell({ to: makeJoin, tell: more })
      await ok(join(bob, roomId, 'hs1'))
      await settle()
      const { body } = await alice.request('GET', roomPath(roomId, 'state', 'm.room.member', bob.userId))
      assert.deepEqual(body, { membership: 'join', displayname: 'bob' })
    })
  })

  describe('what other servers hand in', () => {
    test('is looked at: invitations', async () => {
      const { alice, servers, remote } = await world(database)
      const far = remote('far.example')
      const roomId = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
      const put = (path: string, body: object) => far.request('hs1', { method: 'PUT', path, body })
      const invite = (body: object) => put('/_matrix/federation/v2/invite/!r:far.example/$e', body)
      const refused = async (body: object) => outcome(await invite(body))
      assert.deepEqual(await refused({ event: {} }), [400, 'M_BAD_JSON'])
      assert.deepEqual(await refused({ room_version: '99', event: {} }), [400, 'M_INCOMPATIBLE_ROOM_VERSION'])
      assert.deepEqual(await refused({ room_version: '11', event: {} }), [400, 'M_BAD_JSON'])
      assert.deepEqual(await refused({ room_version: '11', event: 'x' }), [400, 'M_BAD_JSON'])
      const send = await put(`/_matrix/federation/v2/send_join/${encodeURIComponent(roomId)}/$e`, { type: 'm.room.x' })
      assert.deepEqual(outcome(send), [400, 'M_BAD_JSON'])
      const get = (path: string) => far.request('hs1', { method: 'GET', path: `/_matrix/federation/v1/${path}` })
      const room = encodeURIComponent(roomId)
      assert.deepEqual(outcome(await get(`make_join/${room}/@u:far.example?ver=11`)), [200, undefined])
      assert.deepEqual(outcome(await get(`make_join/${room}/@u:other.example?ver=11`)), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await get('make_join/!no:hs1/@u:far.example?ver=11')), [404, 'M_NOT_FOUND'])
      const old = await get(`make_join/${room}/@u:far.example`)
      assert.deepEqual([...outcome(old), old.body.room_version], [400, 'M_INCOMPATIBLE_ROOM_VERSION', '11'])
      assert.deepEqual(outcome(await get(`make_leave/${room}/@u:far.example`)), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await get(`make_knock/${room}/@u:far.example?ver=11`)), [403, 'M_FORBIDDEN'])
      await ok(post(alice, roomId, 'ban', { user_id: '@u:far.example' }))
      assert.deepEqual(outcome(await get(`make_join/${room}/@u:far.example?ver=11`)), [403, 'M_FORBIDDEN'])
      assert.ok(servers.hs1.isRunning())
    })
  })
})
