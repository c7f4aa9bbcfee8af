import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Pdu } from '../../src/matrix/events.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import { signingKeyFromSeed } from '../../src/matrix/signing.ts'
import { ROOM_VERSIONS } from '../../src/state/room-versions.ts'
import { signPdu } from '../../src/state/signatures.ts'
import { forEachDatabase, onSqlite } from '../support/databases.ts'
import { pdusOf, roomWithRemote, U } from '../support/remote-in-room.ts'
import { jsonResponse } from '../support/responses.ts'

const FAR = 'far.example' as ServerName

onSqlite((database) => {
  describe('in every room version', () => {
    for (const { id } of ROOM_VERSIONS) {
      test(`version ${id}: a remote user comes in and speaks`, async () => {
        const { room, message, send, statusOf } = await roomWithRemote(database, { version: id })
        const said = room.add(message('hello'))
        assert.deepEqual(await send(said), { [said.eventId]: {} })
        assert.equal(await statusOf(said.eventId), 'accepted')
      })
    }
  })
})

forEachDatabase((database) => {
  test('a bad event fails none of its neighbours', async () => {
    const { room, message, send, statusOf, remote, hs1, roomId } = await roomWithRemote(database)
    const first = room.add(message('first'))
    const forged = { pdu: { ...message('forged').pdu, type: 'm.room.topic' } }
    const changed = message('said')
    const second = room.add(message('second'))
    const results = await send(
      first,
      forged,
      { pdu: { room_id: roomId } },
      { pdu: { ...changed.pdu, content: { body: 'not said' } } },
      second,
    )
    assert.deepEqual(Object.keys(results).length, 4)
    assert.deepEqual(results[first.eventId], {})
    assert.deepEqual(results[second.eventId], {})
    assert.deepEqual(results[changed.eventId], {})
    assert.equal(Object.values(results).filter((result) => 'error' in (result as object)).length, 1)
    for (const event of [first, second, changed]) assert.equal(await statusOf(event.eventId), 'accepted')
    const kept = (await pdusOf(hs1, roomId)).find((pdu) => JSON.stringify(pdu).includes('not said'))
    assert.equal(kept, undefined)
    const again = await remote.sendPdus('hs1', [first.pdu])
    assert.deepEqual(again.body.pdus, { [first.eventId]: {} })
  })

  test('events that nest without end, or name a member twice, fail none of their neighbours', async () => {
    const { room, message, send, statusOf, remote, hs1, roomId } = await roomWithRemote(database)
    const nested = (depth: number) => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`)
    const deep = [120, 900].map((depth) => ({ pdu: { ...message('deep').pdu, content: { body: nested(depth) } } }))
    const said = room.add(message('said'))
    assert.deepEqual(await send(deep[0]!, said, deep[1]!), { [said.eventId]: {} })
    assert.equal(await statusOf(said.eventId), 'accepted')
    // What was signed is what the last of the two says; the first is seen by nobody.
    const twice = room.add(message('the last'))
    const pdu = JSON.stringify(twice.pdu).replace('"body":', '"body":"the first","body":')
    const path = '/_matrix/federation/v1/send/twice'
    const wanted = { method: 'PUT' as const, path, body: { pdus: [twice.pdu] }, text: `{"pdus":[${pdu}]}` }
    const { status, body } = await remote.request('hs1', wanted)
    assert.deepEqual([status, body], [200, { pdus: { [twice.eventId]: {} } }])
    assert.equal(JSON.stringify(await pdusOf(hs1, roomId)).includes('the first'), false)
  })

  test('a database that fails at any call loses no event: 500, and the same again is taken in', async () => {
    const { room, message, remote, hs1, alice, statusOf, settle } = await roomWithRemote(database)
    await alice.sync()
    let refused = 0
    for (let calls = 0; ; calls++) {
      const said = room.add(message(`said ${calls}`))
      const endOfTrouble = hs1.failAt(calls)
      const send = () => remote.sendPdus('hs1', [said.pdu], `failing${calls}`)
      let answer = await send()
      await settle()
      const hasFailed = endOfTrouble()
      if (answer.status !== 200) {
        refused++
        assert.deepEqual([answer.status, answer.body.errcode], [500, 'M_UNKNOWN'])
        answer = await send()
      }
      assert.deepEqual([answer.status, answer.body.pdus], [200, { [said.eventId]: {} }])
      assert.equal(await statusOf(said.eventId), 'accepted')
      const timeline = Object.values<{ timeline: { events: { event_id: string }[] } }>((await alice.sync()).rooms.join)
      assert.deepEqual(
        timeline.flatMap((one) => one.timeline.events.map((event) => event.event_id)),
        [said.eventId],
      )
      if (!hasFailed) break
    }
    assert.ok(refused > 5, `${refused}`)
  })

  test('hundreds of ends are brought together again, a bounded number at a time', async () => {
    const { room, message, send, statusOf, hs1, roomId, alice } = await roomWithRemote(database)
    const ends = Array.from({ length: 300 }, (_, n) => message(`end ${n}`))
    for (let first = 0; first < ends.length; first += 50) await send(...ends.slice(first, first + 50))
    for (const end of ends) room.add(end)
    for (const end of ends) assert.equal(await statusOf(end.eventId), 'accepted')
    const path = (n: number) => `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${n}`
    for (let n = 0; n < 40; n++)
      assert.equal((await alice.request('PUT', path(n), { msgtype: 'm.text', body: 'here' })).status, 200)
    const own = (await pdusOf(hs1, roomId)).filter((pdu) => (pdu as Pdu).sender === alice.userId).slice(-40) as Pdu[]
    const counts = own.map((pdu) => (pdu.prev_events as string[]).length)
    assert.deepEqual([Math.max(...counts), counts.at(-1)], [10, 1])
  })

  describe('what an event follows', () => {
    test('is asked for, and taken before it', async () => {
      const { room, message, send, statusOf, hs1, roomId } = await roomWithRemote(database)
      const unsent = [1, 2, 3].map((n) => room.add(message(`unsent ${n}`)))
      const last = room.add(message('last'))
      assert.deepEqual(await send(last), { [last.eventId]: {} })
      for (const event of unsent) assert.equal(await statusOf(event.eventId), 'accepted')
      const said = (await pdusOf(hs1, roomId)).flatMap(
        (pdu) => (pdu as { content: { body?: string } }).content.body ?? [],
      )
      assert.deepEqual(said, ['unsent 1', 'unsent 2', 'unsent 3', 'last'])
    })

    test('and is not given, has it refused', async () => {
      const { room, message, send, statusOf, remote } = await roomWithRemote(database)
      remote.answerAlways({ endpoint: 'missingEvents' }, () => jsonResponse(200, { events: [] }))
      room.add(message('withheld'))
      const refused = room.add(message('refused'))
      assert.match((await send(refused))[refused.eventId].error, /follows/)
      assert.equal(await statusOf(refused.eventId), undefined)
      remote.answerNormally()
      const later = room.add(message('later'))
      assert.deepEqual(await send(later), { [later.eventId]: {} })
      assert.equal(await statusOf(refused.eventId), 'accepted')
    })

    test('and is too much, is a gap with the state that the other server tells, filled by whoever reads back', async () => {
      const { room, message, send, statusOf, alice, roomId, stateOf } = await roomWithRemote(database)
      const topic = room.say({ type: 'm.room.topic', sender: U, stateKey: '', content: { topic: 'in the gap' } })
      const bodies = Array.from({ length: 100 }, (_, n) => `${n}`)
      const events = bodies.map((body) => room.add(message(body)))
      const last = events.at(-1)!
      assert.deepEqual(await send(last), { [last.eventId]: {} })
      assert.equal(await statusOf(events[0]!.eventId), undefined)
      assert.equal(await statusOf(events[99]!.eventId), 'accepted')
      // Its sender may not set the topic: what the state at the gap says of it is judged as everything else.
      assert.equal(await statusOf(topic.eventId), 'outlier')
      assert.notEqual(await stateOf('m.room.topic'), topic.eventId)
      const shown: string[] = []
      let from = ''
      for (let page = 0; page < 12; page++) {
        const path = `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=20${from && `&from=${from}`}`
        const { body, status } = await alice.request('GET', path)
        assert.equal(status, 200, JSON.stringify(body))
        shown.push(...body.chunk.flatMap((event: { content: { body?: string } }) => event.content.body ?? []))
        from = body.end
        if (!from) break
      }
      assert.deepEqual(shown, bodies.toReversed())
      assert.equal(await statusOf(topic.eventId), 'rejected')
    })

    test('and is too much, has the timeline of /sync begin behind the gap, from where it is read back', async () => {
      const { room, message, send, alice, roomId, advance } = await roomWithRemote(database)
      await alice.sync()
      await alice.request('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`, { body: 'before' })
      await advance(1_000)
      const events = Array.from({ length: 100 }, (_, n) => room.add(message(`${n}`)))
      await send(events.at(-1)!)
      const { timeline } = (await alice.sync()).rooms.join[roomId]
      const bodies = (some: { content: { body?: string } }[]) => some.map((event) => event.content.body)
      assert.equal(timeline.limited, true)
      assert.ok(!bodies(timeline.events).includes('before'))
      const path = `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=200&from=${timeline.prev_batch}`
      const { chunk } = (await alice.request('GET', path)).body
      const all = bodies([...timeline.events.toReversed(), ...chunk])
      // What was said meanwhile on either side stands side by side.
      assert.ok(all.includes('before'))
      const theirs = all.filter((body) => body !== undefined && body !== 'before')
      assert.deepEqual(
        theirs,
        events.map((_, n) => `${99 - n}`),
      )
    })

    test('long ago, comes late: reading back from a timeline that begins with it misses nothing', async () => {
      const { room, message, send, alice, roomId } = await roomWithRemote(database)
      const late = room.add(message('late'))
      const say = async (body: string) => {
        const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${body}`
        assert.equal((await alice.request('PUT', path, { body })).status, 200)
      }
      for (const body of ['1', '2', '3']) await say(body)
      await send(late)
      await say('4')
      const filter = JSON.stringify({ room: { timeline: { limit: 2 } } })
      const { timeline } = (await alice.sync({ filter })).rooms.join[roomId]
      const bodies = (some: { content: { body?: string } }[]) => some.flatMap((event) => event.content.body ?? [])
      assert.deepEqual(bodies(timeline.events), ['late', '4'])
      const found: string[] = []
      for (let from = timeline.prev_batch; from; ) {
        const path = `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=2&from=${from}`
        const { chunk, end } = (await alice.request('GET', path)).body
        found.push(...bodies(chunk))
        from = end
      }
      assert.deepEqual(found, ['3', '2', '1'])
    })
  })

  describe('an event that its room does not allow', () => {
    test('is kept as rejected, changes nothing, and what follows it is taken', async () => {
      const { room, message, send, statusOf, stateOf } = await roomWithRemote(database)
      const before = await stateOf('m.room.topic')
      const topic = room.say({ type: 'm.room.topic', sender: U, stateKey: '', content: { topic: 'not allowed' } })
      const stranger = room.say({ type: 'm.room.message', sender: '@stranger:far.example', content: { body: 'hi' } })
      const after = room.add(message('after'))
      const results = await send(topic, stranger, after)
      assert.deepEqual(results, { [topic.eventId]: {}, [stranger.eventId]: {}, [after.eventId]: {} })
      assert.deepEqual(await Promise.all([topic, stranger, after].map((event) => statusOf(event.eventId))), [
        'rejected',
        'rejected',
        'accepted',
      ])
      assert.equal(await stateOf('m.room.topic'), before)
    })

    test('now, but where it stands, is kept as soft-failed and shown to nobody', async () => {
      const { room, message, send, statusOf, alice, roomId, advance } = await roomWithRemote(database)
      const evading = message('evading the ban')
      await advance(1_000)
      const path = `/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(U)}`
      assert.equal((await alice.request('PUT', path, { membership: 'ban' })).status, 200)
      room.add(evading)
      assert.deepEqual(await send(evading), { [evading.eventId]: {} })
      assert.equal(await statusOf(evading.eventId), 'soft_failed')
      const messages = await alice.request('GET', `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=50`)
      assert.ok(!JSON.stringify(messages.body).includes('evading'))
    })
  })

  test('a redaction is kept from clients until it redacts something', async () => {
    const { room, message, send, statusOf, rowOf, alice, roomId } = await roomWithRemote(database)
    const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`
    const { body } = await alice.request('PUT', path, { body: 'not to be redacted by others' })
    const redact = (redacts: string) => ({ type: 'm.room.redaction', sender: U, content: { redacts }, redacts })
    const notTheirs = room.say(redact(body.event_id))
    const target = message('redacted before it came', { prevEvents: [room.heads[0]!] })
    const early = room.say(redact(target.eventId))
    await send(notTheirs, early)
    assert.deepEqual(await Promise.all([notTheirs, early].map((event) => statusOf(event.eventId))), [
      'withheld',
      'withheld',
    ])
    room.add(target, 'beside')
    await send(target)
    assert.equal(await statusOf(early.eventId), 'accepted')
    assert.equal((await rowOf(target.eventId))?.redacted_by, early.eventId)
    assert.equal((await rowOf(body.event_id))?.redacted_by, null)
    const said = await send(room.add(message('after')))
    assert.deepEqual(Object.values(said), [{}])
  })

  describe('what authorizes an event', () => {
    test('is asked for where it is not known', async () => {
      const { room, message, send, statusOf } = await roomWithRemote(database)
      const named = room.say({
        type: 'm.room.member',
        sender: U,
        stateKey: U,
        content: { membership: 'join', displayname: 'U' },
      })
      // Says nothing of what it follows, but has that as its authority.
      const [create, , levels] = room.authChain([named])
      assert.ok(create && levels)
      const said = message('hello')
      assert.ok(said.authEvents.includes(named.eventId))
      room.add(said)
      assert.deepEqual(await send(said), { [said.eventId]: {} })
      assert.equal(await statusOf(said.eventId), 'accepted')
    })

    test('and is nowhere to be had, has it refused', async () => {
      const { message, send, statusOf } = await roomWithRemote(database)
      const orphan = message('orphan', { authEvents: ['$nothing', '$else'] })
      assert.match((await send(orphan))[orphan.eventId].error, /authorize/)
      assert.equal(await statusOf(orphan.eventId), undefined)
    })
  })

  test('an event that is too large is refused, and a transaction with too many', async () => {
    const { room, message, send, remote, statusOf } = await roomWithRemote(database)
    const good = room.add(message('good'))
    const large = { pdu: { ...message('large').pdu, content: { body: 'x'.repeat(65_536) } } }
    assert.deepEqual(await send(large, good), { [good.eventId]: {} })
    assert.equal(await statusOf(good.eventId), 'accepted')
    const many = Array.from({ length: 51 }, () => good.pdu)
    assert.equal((await remote.sendPdus('hs1', many)).status, 400)
  })

  test('a room that we are not in, or that nobody knows, has its events refused', async () => {
    const { room, message, send, alice, roomId, remote } = await roomWithRemote(database)
    const unknown = { pdu: { ...message('nowhere').pdu, room_id: '!unknown:far.example' } }
    assert.deepEqual(await send(unknown), {})
    const path = `/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(alice.userId)}`
    assert.equal((await alice.request('PUT', path, { membership: 'leave' })).status, 200)
    const late = room.add(message('late'))
    const { body } = await remote.sendPdus('hs1', [late.pdu])
    assert.match(body.pdus[late.eventId].error, /not in the room/)
  })
})

onSqlite((database) => {
  test('auth chains of thousands, and cycles, come to an end', async () => {
    const { room, message, send, statusOf, remote } = await roomWithRemote(database, { version: '1' })
    const chain: object[] = []
    let previous = [...room.state.values()].find((event) => event.type === 'm.room.create')!.eventId
    for (let n = 0; n < 2_000; n++) {
      const next = room.make({ type: 'm.test', sender: U, stateKey: '', content: {}, authEvents: [previous] })
      chain.push(next.pdu)
      previous = next.eventId
    }
    remote.answerAlways({ endpoint: 'eventAuth' }, () => jsonResponse(200, { auth_chain: chain }))
    const deep = message('deep', { authEvents: [previous] })
    assert.deepEqual(await send(deep), { [deep.eventId]: {} })
    assert.equal(await statusOf(deep.eventId), 'rejected')
    const one = message('a', { authEvents: [room.make({ type: 'm.x', sender: U, content: {} }).eventId] })
    remote.answerAlways({ endpoint: 'eventAuth' }, () => jsonResponse(200, { auth_chain: [one.pdu] }))
    const own = { pdu: { ...one.pdu, auth_events: [[one.eventId, {}]] } }
    await send(own)
    remote.answerNormally()
    const good = room.add(message('good'))
    assert.deepEqual(await send(good), { [good.eventId]: {} })
    assert.equal(await statusOf(good.eventId), 'accepted')
  })

  test('a policy server that a room uses has to recommend what is said', async () => {
    const { room, message, send, statusOf, alice, roomId, remote, advance } = await roomWithRemote(database)
    const policyKey = signingKeyFromSeed('ed25519:policy_server', Buffer.alloc(32, 7))
    const path = `/rooms/${encodeURIComponent(roomId)}/state/m.room.policy`
    const content = { via: 'far.example', public_keys: { ed25519: policyKey.publicKey } }
    assert.equal((await alice.request('PUT', path, content)).status, 200)
    const say = (body: string) =>
      alice.request('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${body}`, { body })
    const spam = { errcode: 'M_FORBIDDEN', error: 'That looks like spam' }
    remote.answerNext({ endpoint: 'policySign' }, () => jsonResponse(400, spam))
    const refused = await say('spam')
    assert.deepEqual([refused.status, refused.body], [400, spam])
    remote.answerNext({ endpoint: 'policySign' }, (_, asked) => {
      const { signatures } = signPdu({ ...(asked as Pdu), signatures: {} }, room.version, FAR, policyKey)
      return jsonResponse(200, signatures)
    })
    const said = await say('good')
    assert.equal(said.status, 200, JSON.stringify(said.body))
    await advance(1_000)
    const sent = remote.receivedPdus.find(({ pdu }) => pdu.content.body === 'good')!
    assert.ok(sent.pdu.signatures[FAR]?.['ed25519:policy_server'])
    assert.ok(!JSON.stringify(remote.receivedPdus).includes('spam'))

    const unsigned = room.add(message('not recommended'))
    assert.deepEqual(await send(unsigned), { [unsigned.eventId]: {} })
    assert.equal(await statusOf(unsigned.eventId), 'soft_failed')
    const recommended = message('recommended')
    const signed = { pdu: signPdu(recommended.pdu, room.version, FAR, policyKey) }
    assert.deepEqual(await send(signed), { [recommended.eventId]: {} })
    assert.equal(await statusOf(recommended.eventId), 'accepted')
    const asked = message('asked for')
    const { signatures } = signPdu({ ...asked.pdu, signatures: {} }, room.version, FAR, policyKey)
    remote.answerNext({ endpoint: 'policySign' }, () => jsonResponse(200, signatures))
    await send(asked)
    assert.equal(await statusOf(asked.eventId), 'accepted')
  })
})

forEachDatabase((database) => {
  test('an event in a gap is found by its time at another server, and history is read on from there', async () => {
    const { room, message, send, statusOf, alice, roomId, remote, clock } = await roomWithRemote(database)
    const start = clock.now()
    const events = Array.from({ length: 60 }, (_, n) =>
      room.add(message(`${n}`, { originServerTs: start + n * 1_000 })),
    )
    const last = room.add(message('last', { originServerTs: start + 60_000 }))
    remote.answerAlways({ endpoint: 'missingEvents' }, () => jsonResponse(200, { events: [events[59]!.pdu] }))
    assert.deepEqual(await send(last), { [last.eventId]: {} })
    const path = `/rooms/${encodeURIComponent(roomId)}`
    const find = async (ts: number, dir: string) =>
      (await alice.request('GET', `/_matrix/client/v1${path}/timestamp_to_event?ts=${ts}&dir=${dir}`)).body
    assert.equal(await statusOf(events[30]!.eventId), undefined)
    assert.deepEqual(await find(start + 29_500, 'f'), {
      event_id: events[30]!.eventId,
      origin_server_ts: start + 30_000,
    })
    assert.equal((await find(start + 20_500, 'b')).event_id, events[20]!.eventId)
    const context = await alice.request('GET', `${path}/context/${encodeURIComponent(events[30]!.eventId)}?limit=0`)
    const back = await alice.request('GET', `${path}/messages?dir=b&limit=3&from=${context.body.start}`)
    assert.deepEqual(
      back.body.chunk.map((event: { content: { body: string } }) => event.content.body),
      ['29', '28', '27'],
    )
    remote.answerAlways({ endpoint: 'nearTime' }, () => jsonResponse(200, { event_id: 1 }))
    assert.equal((await find(start + 59_500, 'f')).event_id, last.eventId)
  })
})
