import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../../test/support/accounts.ts'
import { forEachDatabase } from '../../../test/support/databases.ts'

forEachDatabase((database) => {
  test('a filter is kept once, and comes back as it was', async () => {
    const { ask, user, store } = await accountsOn(await database.open())
    const { userId, token } = await user('alice')
    const path = `/_matrix/client/v3/user/${userId}/filter`
    const definition = {
      room: { timeline: { limit: 10, types: ['m.room.*'] }, state: { lazy_load_members: true }, rooms: ['!a:b'] },
      event_fields: ['type'],
      event_format: 'client',
      presence: { not_senders: ['@eve:b'] },
      'org.example.more': [1.5],
    }
    const { body } = await ask('POST', path, definition, token)
    const id = body.filter_id as string
    assert.doesNotMatch(id, /^\{/)
    assert.deepEqual((await ask('GET', `${path}/${id}`, undefined, token)).body, definition)
    assert.equal((await ask('POST', path, definition, token)).body.filter_id, id)
    assert.notEqual((await ask('POST', path, {}, token)).body.filter_id, id)
    assert.equal((await store.db.selectFrom('filters').selectAll().execute()).length, 2)
  })

  test('filters are the user’s own', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const [alice, eve] = [await user('alice'), await user('eve')]
    const path = `/_matrix/client/v3/user/${alice.userId}/filter`
    const { filter_id: id } = (await ask('POST', path, {}, alice.token)).body
    assert.equal((await ask('POST', path, {}, eve.token)).body.errcode, 'M_FORBIDDEN')
    assert.equal((await ask('GET', `${path}/${id}`, undefined, eve.token)).body.errcode, 'M_FORBIDDEN')
    for (const unknown of ['1', 'a%00', '%7B%7D']) {
      const answer = await ask('GET', `${path}/${unknown}`, undefined, alice.token)
      assert.deepEqual([answer.status, answer.body.errcode], [404, 'M_NOT_FOUND'])
    }
  })

  test('what has not the shape of a filter is refused', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const { userId, token } = await user('alice')
    const wrong = [
      [],
      { presence: 'not_an_object' },
      { account_data: 'not_an_object' },
      ...['timeline', 'state', 'ephemeral', 'account_data'].map((part) => ({ room: { [part]: 'not_an_object' } })),
      ...['rooms', 'not_rooms', 'senders', 'not_senders', 'types', 'not_types'].map((list) => ({
        room: { timeline: { [list]: 'not_a_list' } },
      })),
      { room: { timeline: { types: [0] } } },
      { room: { timeline: { rooms: ['not_a_room_id'] } } },
      { room: { timeline: { senders: ['not_a_sender_id'] } } },
      { room: { timeline: { limit: 1.5 } } },
      { room: { include_leave: 'yes' } },
      { event_format: 'xml' },
      { event_fields: [1] },
    ]
    for (const definition of wrong) {
      const answer = await ask('POST', `/_matrix/client/v3/user/${userId}/filter`, definition, token)
      assert.deepEqual([answer.status, answer.body.errcode], [400, 'M_BAD_JSON'], JSON.stringify(definition))
    }
    const large = { event_fields: ['x'.repeat(70_000)] }
    const answer = await ask('POST', `/_matrix/client/v3/user/${userId}/filter`, large, token)
    assert.deepEqual([answer.status, answer.body.errcode], [413, 'M_TOO_LARGE'])
  })
})
