import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ROOM_VERSIONS } from '../../src/state/room-versions.ts'
import { forEachDatabase } from '../support/databases.ts'
import { createRoom, roomPath } from '../support/room-client.ts'
import type { TestClient } from '../support/test-client.ts'
import { join, joinedRooms, membership, ok, outcome, post, world } from './room-membership-world.ts'

forEachDatabase((database) => {
  describe('membership on one server', () => {
    test('a public room is joined, twice if need be, left, forgotten', async () => {
      const { alice, carol } = await world(database)
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      assert.deepEqual(await ok(join(carol, roomId)), { room_id: roomId })
      const { body: before } = await alice.request('GET', roomPath(roomId, 'state', 'm.room.member', carol.userId))
      assert.deepEqual(await ok(join(carol, roomId)), { room_id: roomId })
      assert.deepEqual(before, { membership: 'join', ...before })
      assert.deepEqual(await joinedRooms(carol), [roomId])
      assert.deepEqual(outcome(await post(carol, roomId, 'forget')), [400, 'M_UNKNOWN'])
      await ok(post(carol, roomId, 'leave', { reason: 'enough' }))
      assert.deepEqual(await joinedRooms(carol), [])
      const { body } = await alice.request('GET', roomPath(roomId, 'state', 'm.room.member', carol.userId))
      assert.deepEqual(body, { membership: 'leave', reason: 'enough' })
      await ok(post(carol, roomId, 'leave'))
      await ok(post(carol, roomId, 'forget'))
    })

    test('whoever joins may put more into their membership, but for what is not theirs to say', async () => {
      const { alice, carol } = await world(database)
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      const more = { foo: 'bar', membership: 'ban', join_authorised_via_users_server: alice.userId }
      await ok(post(carol, roomId, 'join', more))
      const { body } = await alice.request('GET', roomPath(roomId, 'state', 'm.room.member', carol.userId))
      assert.deepEqual(body, { foo: 'bar', membership: 'join', ...body })
      assert.equal(body.join_authorised_via_users_server, undefined)
    })

    test('nobody gets into a room of the invited without an invitation', async () => {
      const { alice, carol } = await world(database)
      const roomId = await createRoom(alice, { preset: 'private_chat' })
      assert.deepEqual(outcome(await join(carol, roomId)), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await post(carol, roomId, 'leave')), [403, 'M_FORBIDDEN'])
      await ok(post(alice, roomId, 'invite', { user_id: carol.userId, reason: 'come' }))
      await ok(post(alice, roomId, 'invite', { user_id: carol.userId, reason: 'come' }))
      await ok(post(carol, roomId, 'join'))
      assert.deepEqual(outcome(await post(alice, roomId, 'invite', { user_id: carol.userId })), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await post(alice, roomId, 'invite', { user_id: '@nobody:hs1' })), [404, 'M_NOT_FOUND'])
      assert.deepEqual(outcome(await post(alice, roomId, 'invite', { user_id: 'nobody' })), [400, 'M_INVALID_PARAM'])
      assert.deepEqual(outcome(await post(alice, roomId, 'invite', {})), [400, 'M_MISSING_PARAM'])
      const byMail = { id_server: 'x', id_access_token: 'x', medium: 'email', address: 'a@b.example' }
      assert.deepEqual(outcome(await post(alice, roomId, 'invite', byMail)), [403, 'M_THREEPID_DENIED'])
    })

    test('kick, ban, unban', async () => {
      const { alice, carol } = await world(database)
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      const who = { user_id: carol.userId, reason: 'why' }
      assert.deepEqual(outcome(await post(alice, roomId, 'kick', who)), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await post(alice, roomId, 'unban', who)), [403, 'M_FORBIDDEN'])
      await ok(join(carol, roomId))
      assert.deepEqual(outcome(await post(carol, roomId, 'kick', { user_id: alice.userId })), [403, 'M_FORBIDDEN'])
      await ok(post(alice, roomId, 'kick', who))
      assert.equal(await membership(alice, roomId, carol), 'leave')
      await ok(join(carol, roomId))
      await ok(post(alice, roomId, 'ban', who))
      await ok(post(alice, roomId, 'ban', who))
      assert.deepEqual(outcome(await join(carol, roomId)), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await post(carol, roomId, 'leave')), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await post(alice, roomId, 'kick', who)), [403, 'M_FORBIDDEN'])
      assert.deepEqual(outcome(await post(alice, roomId, 'invite', who)), [403, 'M_FORBIDDEN'])
      await ok(post(alice, roomId, 'unban', who))
      await ok(join(carol, roomId))
    })

    test('state events of members do the same, and keep what else they say', async () => {
      const { alice, carol } = await world(database)
      const roomId = await createRoom(alice, { preset: 'private_chat' })
      const set = (client: TestClient, target: TestClient, content: object) =>
        client.request('PUT', roomPath(roomId, 'state', 'm.room.member', target.userId), content)
      await ok(set(alice, carol, { membership: 'invite', 'org.example.why': 1 }))
      await ok(set(carol, carol, { membership: 'join', displayname: 'C', 'org.example.more': true }))
      const { body } = await alice.request('GET', roomPath(roomId, 'state', 'm.room.member', carol.userId))
      assert.deepEqual(body, { membership: 'join', displayname: 'C', 'org.example.more': true })
      const first = await ok(set(carol, carol, { membership: 'join', displayname: 'D' }))
      assert.deepEqual(await ok(set(carol, carol, { membership: 'join', displayname: 'D' })), first)
      assert.deepEqual(outcome(await set(carol, carol, { membership: 'away' })), [400, 'M_BAD_JSON'])
      assert.deepEqual(outcome(await set(alice, carol, { membership: 'join' })), [403, 'M_FORBIDDEN'])
      await ok(set(alice, carol, { membership: 'ban' }))
    })

    test('a user who takes no invitations gets none', async () => {
      const { alice, carol, bob } = await world(database)
      const roomId = await createRoom(alice)
      for (const client of [carol, bob]) {
        const path = `/user/${encodeURIComponent(client.userId)}/account_data/m.invite_permission_config`
        await ok(client.request('PUT', path, { default_action: 'block' }))
        const refused = await post(alice, roomId, 'invite', { user_id: client.userId })
        assert.deepEqual(outcome(refused), [403, 'M_INVITE_BLOCKED'])
      }
    })

    test('knocking, where it is allowed', async () => {
      const { alice, carol } = await world(database)
      const roomId = await createRoom(alice)
      const knock = () => carol.request('POST', `/knock/${encodeURIComponent(roomId)}`, { reason: 'please' })
      assert.deepEqual(outcome(await knock()), [403, 'M_FORBIDDEN'])
      await ok(alice.request('PUT', roomPath(roomId, 'state', 'm.room.join_rules'), { join_rule: 'knock' }))
      assert.deepEqual(await ok(knock()), { room_id: roomId })
      assert.equal(await membership(alice, roomId, carol), 'knock')
      await ok(post(carol, roomId, 'leave'))
      assert.equal(await membership(alice, roomId, carol), 'leave')
      await ok(knock())
      await ok(post(alice, roomId, 'invite', { user_id: carol.userId }))
      await ok(join(carol, roomId))
    })

    test('a restricted room lets in whoever is in another', async () => {
      const { alice, carol } = await world(database)
      const club = await createRoom(alice, { preset: 'public_chat' })
      const rules = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: club }] }
      const roomId = await createRoom(alice, {
        initial_state: [{ type: 'm.room.join_rules', state_key: '', content: rules }],
      })
      assert.deepEqual(outcome(await join(carol, roomId)), [403, 'M_FORBIDDEN'])
      await ok(join(carol, club))
      await ok(join(carol, roomId))
      const { body } = await alice.request('GET', roomPath(roomId, 'state', 'm.room.member', carol.userId))
      assert.equal(body.join_authorised_via_users_server, alice.userId)
    })

    test('what is no room, or is not known', async () => {
      const { alice } = await world(database)
      assert.deepEqual(outcome(await join(alice, 'nothing')), [400, 'M_INVALID_PARAM'])
      assert.deepEqual(outcome(await join(alice, '!unknown:hs1')), [404, 'M_NOT_FOUND'])
      assert.deepEqual(outcome(await join(alice, '#unknown:hs1')), [404, 'M_NOT_FOUND'])
      assert.deepEqual(outcome(await post(alice, '!unknown:hs1', 'leave')), [404, 'M_NOT_FOUND'])
      assert.deepEqual(outcome(await post(alice, '!unknown:hs1', 'kick', { user_id: '@x:hs1' })), [404, 'M_NOT_FOUND'])
      const signed = { third_party_signed: { sender: '@x:hs1', mxid: alice.userId, token: 't', signatures: {} } }
      assert.deepEqual(outcome(await post(alice, '!unknown:hs1', 'join', signed)), [403, 'M_THREEPID_DENIED'])
    })
  })

  describe('membership between servers', () => {
    for (const { id } of ROOM_VERSIONS) {
      test(`version ${id}: invited, joined, seen by all, left, joined again`, async () => {
        const { alice, bob, dave, settle } = await world(database)
        const roomId = await createRoom(alice, { room_version: id, preset: 'public_chat', name: 'Far and wide' })
        await ok(post(alice, roomId, 'invite', { user_id: bob.userId }))
        await ok(join(bob, roomId))
        assert.equal(await membership(bob, roomId, alice), 'join')
        assert.equal(await membership(alice, roomId, bob), 'join')
        await ok(join(dave, roomId, 'hs2'))
        await settle()
        for (const client of [alice, bob, dave]) {
          for (const other of [alice, bob, dave]) assert.equal(await membership(client, roomId, other), 'join')
        }
        await ok(post(dave, roomId, 'leave'))
        await settle()
        assert.equal(await membership(alice, roomId, dave), 'leave')
        await ok(alice.request('PUT', roomPath(roomId, 'state', 'm.room.topic'), { topic: 'what was missed' }))
        await settle()
        await ok(join(dave, roomId, 'hs1'))
        const { body } = await dave.request('GET', roomPath(roomId, 'state', 'm.room.topic'))
        assert.equal(body.topic, 'what was missed')
        await settle()
        assert.equal(await membership(bob, roomId, dave), 'join')
      })
    }
  })
})
