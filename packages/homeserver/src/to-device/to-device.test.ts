import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../test/support/databases.ts'
import { type ClientAnswer, confirmation, type TestClient } from '../../test/support/test-client.ts'
import { testNetwork } from '../../test/support/test-network.ts'
import type { Edu } from '../matrix/federation.ts'

const DAY_MS = 24 * 3_600_000
let transactions = 0

/** Sends messages of the type `x`. @param messages contents by user and device */
function send(by: TestClient, messages: unknown, txnId = `t${transactions++}`, type = 'x'): Promise<ClientAnswer> {
  return by.request('PUT', `/sendToDevice/${type}/${txnId}`, { messages })
}

const to = ({ userId, deviceId }: { userId: string; deviceId: string }, n: unknown) => ({
  [userId]: { [deviceId]: { n } },
})
/** What the contents' `n` are in the client's next sync. */
const received = async (client: TestClient): Promise<unknown[]> =>
  (await client.sync()).to_device.events.map(({ content }: { content: { n: unknown } }) => content.n)

function direct(sender: string, messageId: unknown, messages: unknown): Edu {
  return { edu_type: 'm.direct_to_device', content: { sender, type: 'x', message_id: messageId, messages } as never }
}

async function pair(database: TestDatabase) {
  const net = await testNetwork(['hs1'], { database })
  const [alice, bob] = [await net.servers.hs1.register('alice'), await net.servers.hs1.register('bob')]
  return { ...net, alice, bob }
}

/** A scripted remote with the user carol, beside alice and bob. */
async function withFar(database: TestDatabase) {
  const net = await pair(database)
  const far = net.remote('far.example')
  const carol = far.addUser('carol')
  const arrived = () => far.received.filter(({ edu_type: type }) => type === 'm.direct_to_device')
  return { ...net, far, carol, arrived }
}

forEachDatabase((database) => {
  test('a message reaches the device that it is for, and no other', async () => {
    const { alice, bob } = await pair(database)
    const tablet = await bob.login('TABLET')
    assert.deepEqual((await send(alice, to(bob, 1))).body, {})
    const { to_device: inbox } = await bob.sync()
    assert.deepEqual(inbox, { events: [{ sender: alice.userId, type: 'x', content: { n: 1 } }] })
    assert.deepEqual([await received(tablet), await received(alice)], [[], []])
  })

  test('a star stands for all devices but those that are named', async () => {
    const { alice, bob } = await pair(database)
    const clients = [bob, await bob.login('TABLET'), await bob.login('LAPTOP')]
    await send(alice, { [bob.userId]: { '*': { n: 'all' }, TABLET: { n: 'tablet' } } })
    await send(bob, { [bob.userId]: { '*': { n: 'own' } } })
    const inboxes = []
    for (const client of clients) inboxes.push(await received(client))
    assert.deepEqual(inboxes, [
      ['all', 'own'],
      ['tablet', 'own'],
      ['all', 'own'],
    ])
  })

  test('messages for users and devices that are not there are dropped without a word', async () => {
    const { alice, bob } = await pair(database)
    const messages = { '@nobody:hs1': { '*': { n: 1 } }, [bob.userId]: { GONE: { n: 1 }, [bob.deviceId]: { n: 2 } } }
    assert.equal((await send(alice, messages)).status, 200)
    assert.deepEqual(await received(bob), [2])
    const late = await bob.login('GONE')
    assert.deepEqual(await received(late), [])
  })

  test('messages stay until the device comes back with the token that covers them', async () => {
    const { alice, bob } = await pair(database)
    await bob.sync()
    const first = bob.since
    await send(alice, to(bob, 1))
    assert.deepEqual(await received(bob), [1])
    const second = bob.since
    bob.since = first
    await send(alice, to(bob, 2))
    assert.deepEqual(await received(bob), [1, 2], 'the answer was lost')
    bob.since = undefined
    assert.deepEqual(await received(bob), [1, 2], 'a client without a memory')
    bob.since = second
    assert.deepEqual(await received(bob), [2])
    bob.since = second
    assert.deepEqual(await received(bob), [2])
    assert.deepEqual(await received(bob), [])
    bob.since = first
    assert.deepEqual(await received(bob), [], 'what it has is gone')
  })

  test('a sync brings at most a hundred messages in order, and the next the others', async () => {
    const { alice, bob } = await pair(database)
    await bob.sync()
    const start = bob.since
    for (let n = 0; n < 250; n++) await send(alice, to(bob, n))
    const numbers = (from: number, upTo: number) => Array.from({ length: upTo - from }, (_, n) => from + n)
    assert.deepEqual(await received(bob), numbers(0, 100))
    bob.since = start
    assert.deepEqual(await received(bob), numbers(0, 100))
    const middle = bob.since
    assert.deepEqual(await received(bob), numbers(100, 200))
    await send(alice, to(bob, 250))
    bob.since = middle
    assert.deepEqual(await received(bob), numbers(100, 200))
    // One that waits comes back at once while there is more.
    const { to_device: inbox } = await bob.sync({ timeout: 30_000 })
    assert.deepEqual(
      inbox.events.map(({ content }: { content: { n: number } }) => content.n),
      numbers(200, 251),
    )
    assert.deepEqual(await received(bob), [])
  })

  test('a token ahead of the stream, as after a backup was restored, deletes nothing', async () => {
    const { alice, bob } = await pair(database)
    await send(alice, to(bob, 1))
    bob.since = 's1_999999'
    assert.deepEqual(await received(bob), [1])
    assert.deepEqual(await received(bob), [])
  })

  test('the same transaction sent again is one message; it is the same for its device and type alone', async () => {
    const { alice, bob } = await pair(database)
    const tablet = await alice.login('TABLET')
    for (const by of [alice, alice, tablet, tablet]) {
      assert.deepEqual((await send(by, to(bob, by.deviceId), 'same')).body, {})
    }
    await send(alice, to(bob, 'other type'), 'same', 'y')
    await send(alice, to(bob, 'other'), 'other')
    assert.deepEqual(await received(bob), [alice.deviceId, 'TABLET', 'other type', 'other'])
    const both = await Promise.all([1, 2].map((n) => send(alice, to(bob, n), 'at once')))
    assert.deepEqual(
      both.map(({ status }) => status),
      [200, 200],
    )
    assert.equal((await received(bob)).length, 1)
  })

  test('a transaction is the same after a new login of the device, and forgotten after a day', async () => {
    const { alice, bob, servers, advance } = await pair(database)
    await send(alice, to(bob, 1), 'same')
    const path = '/_matrix/client/v3/login'
    const body = { ...confirmation(alice), device_id: alice.deviceId }
    const { body: session } = await servers.hs1.ask({ method: 'POST', path, body })
    const again = () =>
      servers.hs1.ask({
        method: 'PUT',
        path: '/_matrix/client/v3/sendToDevice/x/same',
        body: { messages: to(bob, 2) },
        token: session.access_token,
      })
    await again()
    assert.deepEqual(await received(bob), [1])
    await advance(DAY_MS + 2 * 3_600_000)
    assert.equal((await again()).status, 200)
    assert.deepEqual(await received(bob), [2])
  })

  test('a sync that waits is ended by a message', async () => {
    const { alice, bob, clock, settle } = await pair(database)
    await bob.sync()
    const waiting = bob.sync({ timeout: 30_000 })
    await settle()
    const before = clock.now()
    await send(alice, to(bob, 1))
    assert.equal((await waiting).to_device.events.length, 1)
    assert.equal(clock.now(), before)
  })

  test('requests that are misshapen or name too many users are refused', async () => {
    const { alice, bob } = await pair(database)
    const tooMany = Object.fromEntries(Array.from({ length: 40_000 }, (_, n) => [`@${n}:hs1`, { '*': {} }]))
    assert.equal((await send(alice, tooMany)).status, 400)
    for (const messages of [
      undefined,
      [],
      { bob: {} },
      { [bob.userId]: [] },
      { [bob.userId]: { [bob.deviceId]: 'text' } },
      { [bob.userId]: { '*': [] } },
    ]) {
      const { status, body } = await send(alice, messages)
      assert.deepEqual([status, body.errcode], [400, 'M_BAD_JSON'], JSON.stringify(messages))
    }
    assert.deepEqual(await received(bob), [])
  })

  test('messages to another server are one EDU a transaction, in order, each once', async () => {
    const { alice, bob, carol, arrived, settle } = await withFar(database)
    const messages = {
      [carol.userId]: { PHONE: { n: 1 }, '*': { n: 2 } },
      '@dave:far.example': { D: { n: 3 } },
      ...to(bob, 4),
    }
    for (let twice = 0; twice < 2; twice++) await send(alice, messages, 'same')
    await send(alice, { [carol.userId]: { PHONE: { n: 5 } } })
    await settle()
    const [first, second, ...more] = arrived().map(({ content }) => content)
    const { message_id: messageId, ...content } = first!
    assert.deepEqual(content, {
      sender: alice.userId,
      type: 'x',
      messages: { [carol.userId]: messages[carol.userId], '@dave:far.example': { D: { n: 3 } } },
    })
    assert.deepEqual(second?.messages, { [carol.userId]: { PHONE: { n: 5 } } })
    assert.match(messageId as string, /^.{8,32}$/)
    assert.notEqual(second?.message_id, messageId)
    assert.deepEqual(more, [])
    assert.deepEqual(await received(bob), [4])
  })

  test('what has no canonical form is refused before it holds up what goes to other servers', async () => {
    const { alice, bob, carol, arrived, settle } = await withFar(database)
    for (const content of [{ n: 0.5 }, { n: 2 ** 60 }, { deep: [{ n: 1e300 }] }, { n: '\ud800' }, { '\udfff': 1 }]) {
      const refused = await send(alice, { [bob.userId]: { '*': content }, [carol.userId]: { '*': content } })
      assert.deepEqual([refused.status, refused.body.errcode], [400, 'M_BAD_JSON'])
    }
    assert.equal((await send(alice, { [carol.userId]: { '*': { n: -1 } } })).status, 200)
    assert.equal((await send(alice, to(bob, 0.5))).status, 200)
    await settle()
    assert.equal(arrived().length, 1)
    assert.deepEqual(await received(bob), [0.5])
  })

  test('a queue goes out in transactions that other servers can read', async () => {
    const { alice, carol, arrived, network, until } = await withFar(database)
    network.partition(['hs1'], ['far.example'])
    const long = 'x'.repeat(800_000)
    for (let n = 0; n < 5; n++) await send(alice, { [carol.userId]: { PHONE: { n, long } } })
    network.heal()
    await until(() => arrived().length === 5, 600_000)
    const seen = arrived().map(({ content }) => (content as ClientAnswer['body']).messages[carol.userId].PHONE.n)
    assert.deepEqual(seen, [0, 1, 2, 3, 4])
    assert.equal(Map.groupBy(arrived(), ({ txnId }) => txnId).size, 3)
  })

  test('messages for a server that is down wait for it, in order, through a restart', async () => {
    const { alice, carol, network, servers, arrived, until } = await withFar(database)
    network.partition(['hs1'], ['far.example'])
    for (let n = 0; n < 130; n++) await send(alice, { [carol.userId]: { PHONE: { n } } })
    await servers.hs1.restart()
    network.heal()
    await until(() => arrived().length >= 130, 3_600_000)
    const seen = arrived().map(({ content }) => (content as ClientAnswer['body']).messages[carol.userId].PHONE.n)
    assert.deepEqual(
      seen,
      Array.from({ length: 130 }, (_, n) => n),
    )
    assert.ok(Map.groupBy(arrived(), ({ txnId }) => txnId).size >= 2)
  })

  test('two Evergreens bring a message from user to user', async () => {
    const { servers, settle } = await testNetwork(['hs1', 'hs2'], { database })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs2.register('bob')]
    await bob.sync()
    await send(alice, { [bob.userId]: { '*': { n: 1 } } })
    await settle()
    const { to_device: inbox } = await bob.sync()
    assert.deepEqual(inbox.events, [{ sender: alice.userId, type: 'x', content: { n: 1 } }])
  })

  test('a message of another server is taken once, whatever transaction it comes in', async () => {
    const { alice, bob, carol, far, remote } = await withFar(database)
    const edu = direct(carol.userId, 'm1', { ...to(alice, 1), ...to(bob, 1) })
    await far.sendEdus('hs1', [edu, edu], 'one')
    await far.sendEdus('hs1', [edu], 'one')
    await far.sendEdus('hs1', [edu, direct(carol.userId, 'm2', to(alice, 2))], 'two')
    // Another server may well have given the same ID.
    const third = remote('third.example')
    await third.sendEdus('hs1', [direct('@eve:third.example', 'm1', { [alice.userId]: { '*': { n: 3 } } })])
    assert.deepEqual([await received(alice), await received(bob)], [[1, 2, 3], [1]])
  })

  test('a message is of a user of the server that sends it, and for users of ours', async () => {
    const { alice, bob, carol, far } = await withFar(database)
    const { status } = await far.sendEdus('hs1', [
      direct(bob.userId, 'a', to(alice, 'of ours')),
      direct('@eve:third.example', 'b', to(alice, 'of a third')),
      direct(carol.userId, undefined, to(alice, 'no ID')),
      direct(carol.userId, 'x'.repeat(300), to(alice, 'a long ID')),
      direct(carol.userId, 'c', { [alice.userId]: { [alice.deviceId]: 'no object' } }),
      direct('carol', 'd', to(alice, 'no user')),
      direct(carol.userId, 'e', { '@dave:third.example': { '*': { n: 'not ours' } }, ...to(alice, 'good') }),
    ])
    assert.equal(status, 200)
    assert.deepEqual(await received(alice), ['good'])
  })

  test('devices that log out while messages come in take nothing from the others', async () => {
    const { alice, bob, carol, far } = await withFar(database)
    const leaving = await Promise.all(Array.from({ length: 8 }, (_, n) => bob.login(`D${n}`)))
    const answers = await Promise.all([
      ...leaving.map((client) => client.request('POST', '/logout')),
      ...leaving.map((_, n) => send(alice, { [bob.userId]: { '*': { n } } })),
      far.sendEdus('hs1', [direct(carol.userId, 'm1', { [bob.userId]: { '*': { n: 'far' } } })]),
    ])
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    )
    assert.deepEqual((await received(bob)).map(String).sort(), ['0', '1', '2', '3', '4', '5', '6', '7', 'far'])
  })
})
