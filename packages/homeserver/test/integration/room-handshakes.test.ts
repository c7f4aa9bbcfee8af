import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NetworkError } from '../../src/platform/network.ts'
import { forEachDatabase } from '../support/databases.ts'
import { createRoom, roomPath } from '../support/room-client.ts'
import {
  join,
  joinedRooms,
  knock,
  memberContent,
  membership,
  ok,
  outcome,
  post,
  setState,
  world,
} from './room-membership-world.ts'

/** A join makes some hundred calls to the database: it dies at every so many of them. */
const CALLS_BETWEEN_DEATHS = 9

const restrictedTo = (roomId: string) => [
  {
    type: 'm.room.join_rules',
    state_key: '',
    content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: roomId }] },
  },
]

forEachDatabase((database) => {
  describe('joining by others', () => {
    test('an alias of another server leads there', async () => {
      const { bob, alice } = await world(database)
      const roomId = await createRoom(alice, { preset: 'public_chat', room_alias_name: 'here' })
      assert.deepEqual(await ok(join(bob, '#here:hs1')), { room_id: roomId })
    })

    test('a server that is away is passed over; without any, it is said so', async () => {
      const { bob, alice, dave, network, settle } = await world(database)
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      await ok(join(bob, roomId, 'hs1'))
      // Whose keys are not known, and cannot be had, has said nothing that could be believed.
      const other = await createRoom(alice, { preset: 'public_chat' })
      await ok(join(dave, other, 'hs1'))
      await settle()
      network.partition(['hs1'], ['hs3'])
      assert.deepEqual(outcome(await join(dave, roomId, 'hs1')), [502, 'M_UNKNOWN'])
      assert.deepEqual(await joinedRooms(dave), [other])
      await ok(join(dave, roomId, 'hs1', 'nowhere.example', 'hs2'))
      assert.deepEqual((await joinedRooms(dave)).sort(), [other, roomId].sort())
    })

    test('who is not wanted hears of it', async () => {
      const { alice, bob } = await world(database)
      const closed = await createRoom(alice, { preset: 'private_chat' })
      assert.deepEqual(outcome(await join(bob, closed, 'hs1')), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await join(bob, '!unknown:hs1', 'hs1')), [404, 'M_NOT_FOUND'])
      const local = await createRoom(alice, { preset: 'public_chat', creation_content: { 'm.federate': false } })
      assert.deepEqual(outcome(await join(bob, local, 'hs1')), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await post(alice, local, 'invite', { user_id: bob.userId })), [403, 'M_FORBIDDEN'])
      const guarded = await createRoom(alice, { preset: 'public_chat' })
      await ok(setState(alice, guarded, 'm.room.server_acl', { allow: ['*'], deny: ['hs2'] }))
      assert.deepEqual(outcome(await join(bob, guarded, 'hs1')), [403, 'M_FORBIDDEN'])
      assert.deepEqual(await joinedRooms(bob), [])
    })

    test('two who join at once have the room brought here once', async () => {
      const { alice, bob, servers, network } = await world(database)
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      const erin = await servers.hs2.register('erin')
      await Promise.all([ok(join(bob, roomId, 'hs1')), ok(join(erin, roomId, 'hs1'))])
      for (const member of [bob, erin, alice]) assert.equal(await membership(bob, roomId, member), 'join')
      assert.equal(network.requests({ from: 'hs2', to: 'hs1', path: /send_join/ }).length, 1)
    })

    test('a server that dies in the midst of it, wherever, brings the room here when it is asked again', async () => {
      const { alice, bob, servers, settle } = await world(database)
      let died = true
      let deaths = 0
      for (let calls = 0; died; calls += CALLS_BETWEEN_DEATHS) {
        const roomId = await createRoom(alice, { preset: 'public_chat' })
        servers.hs2.killAt(calls, calls % 2 === 0 ? 'before' : 'after')
        await join(bob, roomId, 'hs1').catch((error) => assert.ok(error instanceof NetworkError, String(error)))
        died = !servers.hs2.isRunning()
        if (died) deaths++
        else servers.hs2.killAt(Number.POSITIVE_INFINITY, 'before')
        if (died) await servers.hs2.start()
        await settle()
        await ok(join(bob, roomId, 'hs1'))
        await settle()
        assert.equal(await membership(alice, roomId, bob), 'join', `after ${calls} calls`)
        assert.equal(await membership(bob, roomId, alice), 'join', `after ${calls} calls`)
        const said = await ok(bob.request('PUT', roomPath(roomId, 'send', 'm.room.message', 'here'), { body: 'here' }))
        await settle()
        await ok(alice.request('GET', roomPath(roomId, 'event', said.event_id)))
      }
      assert.ok(deaths >= 5, `${deaths}`)
    })
  })

  describe('restricted rooms between servers', () => {
    test('the server in the room vouches for whoever meets a condition', async () => {
      const { alice, bob, dave, network, settle } = await world(database)
      const club = await createRoom(alice, { preset: 'public_chat' })
      const roomId = await createRoom(alice, { room_version: '11', initial_state: restrictedTo(club) })
      assert.deepEqual(outcome(await join(bob, roomId, 'hs1')), [403, 'M_FORBIDDEN'])
      await ok(join(bob, club, 'hs1'))
      await ok(join(bob, roomId, 'hs1'))
      assert.equal((await memberContent(bob, roomId, bob)).join_authorised_via_users_server, alice.userId)
      await settle()
      assert.equal((await memberContent(alice, roomId, bob)).join_authorised_via_users_server, alice.userId)
      // Bob may invite nobody here, so that his server can vouch for nobody.
      await ok(setState(alice, roomId, 'm.room.power_levels', { users: { [alice.userId]: 100 }, invite: 50 }))
      await settle()
      await ok(join(dave, club, 'hs1'))
      await settle()
      network.partition(['hs1'], ['hs3'])
      assert.deepEqual(outcome(await join(dave, roomId, 'hs2')), [400, 'M_UNABLE_TO_GRANT_JOIN'])
      network.heal()
      await ok(join(dave, roomId, 'hs2', 'hs1'))
    })

    test('a server that knows the room but may let nobody in asks one that may', async () => {
      const { alice, bob, servers, settle } = await world(database)
      const club = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
      const levels = { power_level_content_override: { invite: 50 } }
      const roomId = await createRoom(alice, { room_version: '11', initial_state: restrictedTo(club), ...levels })
      const erin = await servers.hs2.register('erin')
      for (const client of [bob, erin]) await ok(join(client, club, 'hs1'))
      await ok(join(bob, roomId, 'hs1'))
      await settle()
      await ok(join(erin, roomId))
      await settle()
      for (const client of [alice, bob]) {
        assert.equal((await memberContent(client, roomId, erin)).join_authorised_via_users_server, alice.userId)
      }
    })

    test('a server that does not know the other room cannot tell', async () => {
      const { alice, bob, dave, settle } = await world(database)
      const club = await createRoom(bob, { preset: 'public_chat' })
      const roomId = await createRoom(alice, { initial_state: restrictedTo(club) })
      await ok(join(dave, club, 'hs2'))
      await settle()
      assert.deepEqual(outcome(await join(dave, roomId, 'hs1')), [400, 'M_UNABLE_TO_AUTHORISE_JOIN'])
    })
  })

  describe('invitations between servers', () => {
    for (const version of ['1', '2', '3', '6', '11', '12']) {
      test(`version ${version}: is shown, and rejected`, async () => {
        const { alice, bob, settle } = await world(database)
        const wish = { room_version: version, name: 'Come in', invite: [bob.userId], is_direct: true }
        const roomId = await createRoom(alice, { preset: 'private_chat', ...wish })
        assert.equal(await membership(alice, roomId, bob), 'invite')
        assert.equal((await memberContent(alice, roomId, bob)).is_direct, true)
        await ok(post(bob, roomId, 'leave', { reason: 'no' }))
        await settle()
        assert.deepEqual(await memberContent(alice, roomId, bob), { membership: 'leave', reason: 'no' })
        assert.deepEqual(outcome(await join(bob, roomId, 'hs1')), [403, 'M_FORBIDDEN'])
        await ok(post(alice, roomId, 'invite', { user_id: bob.userId }))
        await ok(join(bob, roomId))
      })
    }

    test('can always be rejected', async () => {
      const { alice, bob, network } = await world(database)
      const roomId = await createRoom(alice, { invite: [bob.userId] })
      network.partition(['hs1'], ['hs2'])
      await ok(post(bob, roomId, 'leave'))
      network.heal()
      await ok(post(bob, roomId, 'forget'))
    })

    test('by the state event they are told, too', async () => {
      const { alice, bob, network } = await world(database)
      const roomId = await createRoom(alice)
      const path = roomPath(roomId, 'state', 'm.room.member', bob.userId)
      await ok(alice.request('PUT', path, { membership: 'invite' }))
      await ok(join(bob, roomId))
      network.partition(['hs1'], ['hs3'])
      const unreachable = await post(alice, roomId, 'invite', { user_id: '@dave:hs3' })
      assert.deepEqual(outcome(unreachable), [502, 'M_UNKNOWN'])
      assert.equal(await membership(alice, roomId, { userId: '@dave:hs3' }), undefined)
    })

    test('somebody who is not there cannot be invited', async () => {
      const { alice } = await world(database)
      const roomId = await createRoom(alice)
      assert.equal((await post(alice, roomId, 'invite', { user_id: '@nobody:hs2' })).status, 502)
    })
  })

  describe('knocking between servers', () => {
    for (const version of ['7', '11', '12']) {
      test(`version ${version}: let in, turned away, withdrawn`, async () => {
        const { alice, bob, settle } = await world(database)
        const roomId = await createRoom(alice, { room_version: version, name: 'Knock' })
        assert.deepEqual(outcome(await knock(bob, roomId, 'hs1')), [403, 'M_FORBIDDEN'])
        await ok(setState(alice, roomId, 'm.room.join_rules', { join_rule: 'knock' }))
        assert.deepEqual(await ok(knock(bob, roomId, 'hs1')), { room_id: roomId })
        assert.equal(await membership(alice, roomId, bob), 'knock')
        await ok(post(bob, roomId, 'leave'))
        await settle()
        assert.equal(await membership(alice, roomId, bob), 'leave')
        await ok(knock(bob, roomId, 'hs1'))
        await ok(post(alice, roomId, 'invite', { user_id: bob.userId }))
        await ok(join(bob, roomId))
        await settle()
        assert.equal(await membership(alice, roomId, bob), 'join')
      })
    }

    test('on a version without knocking', async () => {
      const { alice, bob } = await world(database)
      const roomId = await createRoom(alice, { room_version: '6' })
      const [status] = outcome(await knock(bob, roomId, 'hs1'))
      assert.equal(status, 400)
    })
  })

  describe('guests', () => {
    test('are let in where guests are, and leave when they no longer are', async () => {
      const { alice, bob, servers, settle } = await world(database)
      const path = '/_matrix/client/v3/register?kind=guest'
      const { body: session } = await servers.hs1.ask({ method: 'POST', path, body: {} })
      const guest = (method: string, path: string, body: object = {}) =>
        servers.hs1.ask({ method, path: `/_matrix/client/v3${path}`, body, token: session.access_token })
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      assert.deepEqual(outcome(await guest('POST', roomPath(roomId, 'join'))), [403, 'M_GUEST_ACCESS_FORBIDDEN'])
      await ok(setState(alice, roomId, 'm.room.guest_access', { guest_access: 'can_join' }))
      await ok(guest('POST', roomPath(roomId, 'join')))
      await ok(setState(alice, roomId, 'm.room.guest_access', { guest_access: 'forbidden' }))
      assert.equal(await membership(alice, roomId, { userId: session.user_id }), 'leave')
      const far = await createRoom(bob, { preset: 'public_chat' })
      const joinFar = () => guest('POST', `/join/${encodeURIComponent(far)}?via=hs2`)
      assert.deepEqual(outcome(await joinFar()), [403, 'M_GUEST_ACCESS_FORBIDDEN'])
      await settle()
      assert.equal(await membership(bob, far, { userId: session.user_id }), 'leave')
      await ok(setState(bob, far, 'm.room.guest_access', { guest_access: 'can_join' }))
      await ok(joinFar())
    })
  })

  describe('what a user is called', () => {
    test('is known in all rooms, on all servers', async () => {
      const { alice, bob, settle } = await world(database)
      const rooms = [await createRoom(alice, { preset: 'public_chat' }), await createRoom(alice)]
      await ok(join(bob, rooms[0]!, 'hs1'))
      await ok(alice.request('PUT', `/profile/${alice.userId}/displayname`, { displayname: 'Alice' }))
      for (const roomId of rooms) assert.equal((await memberContent(alice, roomId, alice)).displayname, 'Alice')
      await settle()
      assert.equal((await memberContent(bob, rooms[0]!, alice)).displayname, 'Alice')
      await ok(alice.request('DELETE', `/profile/${alice.userId}/displayname`))
      assert.deepEqual(await memberContent(alice, rooms[1]!, alice), { membership: 'join' })
    })
  })

  describe('an account that is closed', () => {
    test('leaves its rooms and rejects its invitations, after a crash too', async () => {
      const { alice, bob, carol, servers, settle } = await world(database)
      const rooms = [
        await createRoom(bob, { preset: 'public_chat' }),
        await createRoom(carol, { preset: 'public_chat' }),
      ]
      for (const roomId of rooms) await ok(join(alice, roomId, 'hs2'))
      const invited = await createRoom(bob, { invite: [alice.userId] })
      const {
        store,
        rooms: { members },
      } = servers.hs1.homeserver.ctx
      await members.departures.stop()
      await store.transaction((tx) => members.departures.schedule(tx, alice.userId as never))
      await servers.hs1.restart()
      await settle()
      for (const roomId of [rooms[0]!, invited]) assert.equal(await membership(bob, roomId, alice), 'leave')
      assert.equal(await membership(carol, rooms[1]!, alice), 'leave')
    })
  })
})
