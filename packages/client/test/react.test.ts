import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClientEvent } from 'matrix-js-sdk'
import { createElement } from 'react'
import { errorResponse } from '../../homeserver/test/support/responses.ts'
import { DeviceListRefreshButton } from '../src/react/index.ts'
import { openPage } from './support/dom.ts'
import { prepareGround, startHomeserver, startRemote, startUser } from './support/servers.ts'

const LIMIT = { timeout: 60_000 }
/** In which phase the button is. */
const phase = (name: string) => `[data-phase=${name}]`

test(
  'the button: idle, asking, failed with the reason and the time of the next try, then arrived by itself',
  LIMIT,
  async (t) => {
    const ground = await prepareGround(t)
    const remote = await startRemote(t, ground)
    const bob = remote.addUser('bob')
    bob.addDevice('PHONE')
    remote.answerNext({ endpoint: 'devices' }, () => errorResponse(500, 'M_UNKNOWN'))
    const held = remote.hang({ endpoint: 'devices' })
    const server = await startHomeserver(t, ground, { deviceLists: { retryBase: 500 } })
    const { client } = await startUser(t, server, 'alice')

    const page = await openPage(t, createElement(DeviceListRefreshButton, { client, userId: bob.userId }))
    await page.appears(phase('idle'))
    const button = page.element('button')
    const status = page.element('[role=status]')
    assert.deepEqual(
      [button.textContent, button.getAttribute('aria-describedby'), status.textContent],
      ['Refresh devices', status.id, ''],
    )

    page.click('button')
    await page.appears(phase('asking'))
    assert.deepEqual([button.getAttribute('aria-disabled'), button.getAttribute('aria-busy')], ['true', 'true'])
    assert.ok(!button.hasAttribute('disabled'), 'the focus stays')
    assert.match(status.textContent, /Asking/)

    await page.appears(phase('failed'))
    assert.match(status.textContent, /^Their server cannot be reached\. Your homeserver tries again at \d/)
    assert.equal(button.getAttribute('aria-disabled'), 'false')

    held.release()
    await page.appears(phase('arrived'))
    assert.equal(status.textContent, 'The list of devices is up to date: 1 device.')
  },
)

test('the button in another language, for another user, and on a page that is left', LIMIT, async (t) => {
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const [bob, carol] = [remote.addUser('bob'), remote.addUser('carol')]
  remote.answerAlways({ user: bob.userId }, () => errorResponse(403, 'M_FORBIDDEN'))
  const held = remote.hang({ user: carol.userId })
  t.after(() => held.release())
  const server = await startHomeserver(t, ground)
  const { client } = await startUser(t, server, 'alice')
  const texts = {
    label: 'Geräte abfragen',
    failed: (reason: string) => `Fehler: ${reason}.`,
    willRetry: () => 'Später mehr.',
  }
  const button = (userId: string) => createElement(DeviceListRefreshButton, { client, userId, texts })

  const page = await openPage(t, button(bob.userId))
  await page.appears('button')
  page.click('button')
  await page.appears(phase('failed'))
  assert.equal(page.element('button').textContent, 'Geräte abfragen')
  assert.equal(page.element('[role=status]').textContent, 'Fehler: refused. Später mehr.')

  page.show(button(carol.userId))
  await page.appears(phase('idle'))
  page.click('button')
  await page.appears(phase('asking'))
  const listeners = client.listenerCount(ClientEvent.Sync)
  page.leave()
  await new Promise((resolve) => setImmediate(resolve))
  assert.ok(client.listenerCount(ClientEvent.Sync) < listeners, 'nothing is listened for any more')
})
