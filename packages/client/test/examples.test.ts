import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { EventType, MatrixEventEvent, Preset } from 'matrix-js-sdk'
import { createElement } from 'react'
import { register } from '../../../interop/clients.ts'
import { errorResponse } from '../../homeserver/test/support/responses.ts'
import { openPage } from './support/dom.ts'
import { createLog, whenMember } from './support/events.ts'
import { prepareGround, startHomeserver, startRemote, startUser } from './support/servers.ts'
import './support/source-hooks.ts'

const LIMIT = { timeout: 60_000 }
const EXAMPLES = ['refresh', 'looks-stale', 'watch', 'bot', 'button'] as const
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

test('the README shows the examples as they are run', async () => {
  const readme = await readFile(here('../README.md'), 'utf8')
  const shown = [...readme.matchAll(/<!-- examples\/([\w-]+)\.ts -->\n\n```ts\n(.*?)```\n/gs)].map(([, name, code]) => [
    name,
    code,
  ])
  const files = EXAMPLES.map(async (name) => [name, await readFile(here(`../examples/${name}.ts`), 'utf8')])
  assert.deepEqual(shown, await Promise.all(files))
})

test('the examples of functions', LIMIT, async (t) => {
  const { refresh } = await import('../examples/refresh.ts')
  const { whyStale } = await import('../examples/looks-stale.ts')
  const { keepFresh } = await import('../examples/watch.ts')
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const [bob, carol] = [remote.addUser('bob'), remote.addUser('carol')]
  bob.addDevice('PHONE')
  remote.answerAlways({ user: carol.userId }, () => errorResponse(403, 'M_FORBIDDEN'))
  const server = await startHomeserver(t, ground)
  const { client } = await startUser(t, server, 'alice')

  assert.equal(await refresh(client, bob.userId), `${bob.userId} has 1 device(s); new messages are encrypted for them.`)
  assert.equal(await refresh(client, carol.userId), 'Not yet (refused), but our homeserver keeps trying.')
  assert.equal(await refresh(client, 'bob'), 'It cannot be done: invalidUserId.')
  await assert.rejects(refresh(client, bob.userId, AbortSignal.abort(new Error('gone'))), /gone/)

  assert.equal(await whyStale(client, bob.userId), undefined)
  bob.setCrossSigning()
  assert.equal(await whyStale(client, bob.userId), 'they use cross-signing, and none of PHONE is signed')

  const listeners = client.eventNames().length
  keepFresh(client, assert.fail)()
  assert.equal(client.eventNames().length, listeners)
})

test('the bot', LIMIT, async (t) => {
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const bob = remote.addUser('bob')
  bob.addDevice('PHONE')
  const server = await startHomeserver(t, ground)
  const bot = await register(server.baseUrl(), { username: 'bot' })
  const { client } = await startUser(t, server, 'alice')
  const child = spawn(process.execPath, ['--import', here('support/source-hooks.ts'), here('../examples/bot.ts')], {
    env: {
      ...process.env,
      BASE_URL: bot.baseUrl,
      USER_ID: bot.userId,
      DEVICE_ID: bot.deviceId,
      ACCESS_TOKEN: bot.accessToken,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    said += chunk
    if (said.includes('The bot is there.')) break
  }
  child.stdout.resume()

  const answers = createLog<string>()
  client.on(MatrixEventEvent.Decrypted, (event) => {
    if (event.getSender() === bot.userId) answers.add(event.getContent().body)
  })
  const encryption = {
    type: EventType.RoomEncryption as string,
    state_key: '',
    content: { algorithm: 'm.megolm.v1.aes-sha2' },
  }
  const { room_id: roomId } = await client.createRoom({
    preset: Preset.TrustedPrivateChat,
    invite: [bot.userId],
    initial_state: [encryption],
  })
  await whenMember(client, roomId, bot.userId, 'join')
  await client.sendTextMessage(roomId, `!refresh ${bob.userId}`)
  assert.equal(await answers.find((body) => body.startsWith(bob.userId)), `${bob.userId}: arrived`)

  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await exited, [0, null])
})

test('the components', LIMIT, async (t) => {
  const { Member, MemberMenu } = await import('../examples/button.ts')
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const bob = remote.addUser('bob')
  const server = await startHomeserver(t, ground)
  const { client } = await startUser(t, server, 'alice')

  const held = remote.hang({ user: bob.userId })
  const page = await openPage(t, createElement(MemberMenu, { client, userId: bob.userId }))
  assert.equal((await page.appears('button')).textContent, 'Refresh')
  page.click('button')
  await page.shows('button', 'Cancel')
  page.click('button')
  await page.shows('output', 'idle')
  held.release()
  page.click('button')
  await page.shows('output', 'arrived')

  page.show(createElement(Member, { client, userId: bob.userId }))
  await page.shows('button', `Refresh ${bob.userId}`)
})
