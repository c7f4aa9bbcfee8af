import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { promote } from '../../homeserver/test/support/promote.ts'
import * as answers from '../../homeserver/test/support/remote-answers.ts'
import { checkAccessibility, missingBrowser, startBrowser } from './support/browser.ts'
import { type Stage, setStage } from './support/stage.ts'

const LIMIT = { timeout: 60_000 }
// biome-ignore lint/suspicious/noExplicitAny: it runs in the browser, whose types the tests do without
const hasFocus = (element: any): boolean => element.ownerDocument.activeElement === element

describe('the page, in Chromium', { skip: missingBrowser() }, () => {
  const browser = startBrowser()

  async function signIn(t: TestContext, stage: Stage, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await browser.open(t, stage.url, options)
    await page.getByLabel('User name').fill('alice')
    await page.getByLabel('Password').fill(stage.alice.password)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'People' }).waitFor()
    return page
  }
  const personOf = (page: Page, userId: string) =>
    page.getByRole('list', { name: 'People' }).locator('li.person').filter({ hasText: userId })

  test('signing in and out', LIMIT, async (t) => {
    const stage = await setStage(t)
    const page = await browser.open(t, stage.url)
    await page.getByLabel('User name').fill('alice')
    await page.getByLabel('Password').fill('not this one')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').filter({ hasText: 'not right' }).waitFor()
    await checkAccessibility(page)
    await page.getByLabel('Password').fill(stage.alice.password)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'People' }).waitFor()
    await page.reload()
    await page.getByRole('heading', { name: 'People' }).waitFor()
    const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem('evergreen.session')!).accessToken)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('User name').waitFor()
    assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0)
    const answer = await fetch(`${stage.server.baseUrl()}/_matrix/client/v3/account/whoami`, {
      headers: { authorization: `Bearer ${token}` },
    })
    assert.equal(answer.status, 401)
  })

  test('a session that has run out is renewed; one that cannot be renewed ends at the sign-in', LIMIT, async (t) => {
    const stage = await setStage(t)
    const page = await signIn(t, stage)
    const button = page.getByRole('button', { name: `Refresh devices of ${stage.bob.userId}` })
    const { db } = stage.server.ctx.store
    const tokenOf = () => page.evaluate(() => JSON.parse(sessionStorage.getItem('evergreen.session')!).accessToken)
    const first = await tokenOf()
    const ofPage = db.selectFrom('devices').select('device_id').where('display_name', '=', 'Evergreen page')
    const change = (values: { expires_at: number; refresh_hash?: null }) =>
      db.updateTable('access_tokens').set(values).where('device_id', 'in', ofPage).execute()
    await change({ expires_at: 1 })
    await button.click()
    await personOf(page, stage.bob.userId).getByText('Arrived').waitFor()
    assert.notEqual(await tokenOf(), first)

    await change({ expires_at: 1, refresh_hash: null })
    await button.click()
    await page.getByRole('alert').filter({ hasText: 'Your session has ended' }).waitFor()
    assert.equal(await page.evaluate(() => sessionStorage.length), 0)
  })

  test('people with their devices, a refresh, a failure, and news without asking', LIMIT, async (t) => {
    const stage = await setStage(t, { deviceLists: { retryBase: 60_000 } })
    const { bob, far } = stage
    const page = await signIn(t, stage)
    const person = personOf(page, bob.userId)
    const devices = page.getByRole('list', { name: `Devices of ${bob.userId}` })
    await person.getByText('Up to date').waitFor()
    await devices.getByText('BOBPHONE').waitFor()
    assert.match(await devices.innerText(), /signed/)
    await checkAccessibility(page)

    // A device that nobody was told of.
    bob.addDevice('HIDDEN')
    const button = page.getByRole('button', { name: `Refresh devices of ${bob.userId}` })
    await button.click()
    await person.getByText('Arrived').waitFor()
    await devices.getByText('HIDDEN').waitFor()
    assert.match(await devices.locator('li', { hasText: 'HIDDEN' }).innerText(), /not signed/)

    far.answerAlways({ endpoint: 'devices' }, answers.status(503))
    await button.click()
    await person.getByText(/tries again by itself/).waitFor()
    assert.match(await person.getByRole('status').innerText(), /could not be fetched.*in \d+ (seconds|minute)/s)
    await person.getByText('Cannot be fetched').waitFor()
    await page.getByText('1 list looks stale').waitFor()
    await checkAccessibility(page)

    // The other server speaks: its lists are fetched at once, and the page hears of it by itself.
    far.answerNormally()
    await stage.tell(bob.addDevice('TABLET'))
    await devices.getByText('TABLET').waitFor()
    await person.getByText('Arrived').waitFor()
    await stage.tell(bob.removeDevice('TABLET'))
    await devices.getByText('TABLET').waitFor({ state: 'detached' })
  })

  test('many people: searched, sorted, and all that look stale refreshed', LIMIT, async (t) => {
    const stage = await setStage(t, { deviceLists: { retryBase: 60_000 } })
    const people = Array.from({ length: 70 }, (_, nth) => stage.addPerson(`friend${String(nth).padStart(2, '0')}`))
    await stage.enter(...people)
    const page = await signIn(t, stage)
    await page.getByText('71 people. All lists are up to date.').waitFor()
    const shown = page.locator('li.person')
    assert.equal(await shown.count(), 50)
    await page.getByRole('button', { name: /^Show more/ }).click()
    assert.equal(await shown.count(), 71)
    await page.getByLabel('Search people').fill('friend6')
    await page.getByText('10 of 71 people').waitFor()
    assert.equal(await shown.count(), 10)

    await page.getByLabel('Search people').fill('')
    stage.far.answerAlways({ endpoint: 'devices' }, answers.status(503))
    const [worst] = people
    worst!.addDevice('LOST')
    await stage.tell(worst!.addDevice('TABLET'))
    await page.getByText('1 list looks stale').waitFor()
    assert.match(await shown.first().innerText(), /friend00/)
    await page.getByLabel('Sort by').selectOption('Name')
    assert.match(await shown.first().innerText(), /bob/)
    stage.far.answerNormally()
    await page.getByRole('button', { name: 'Refresh all that look stale' }).click()
    await page.getByText('All lists are up to date.').waitFor()
    await page
      .getByRole('list', { name: `Devices of ${worst!.userId}` })
      .getByText('TABLET')
      .waitFor()
  })

  test('by keyboard alone, on a phone, in the dark', LIMIT, async (t) => {
    const stage = await setStage(t)
    const page = await browser.open(t, stage.url, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' })
    await page.getByLabel('User name').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.type(stage.alice.userId)
    await page.keyboard.press('Tab')
    await page.keyboard.type(stage.alice.password)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    const person = personOf(page, stage.bob.userId)
    await person.getByText('Up to date').waitFor()
    const refresh = page.getByRole('button', { name: `Refresh devices of ${stage.bob.userId}` })
    for (let presses = 0; !(await refresh.evaluate(hasFocus)); presses++) {
      assert.ok(presses < 20, 'the button is not reached by the keyboard')
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await person.getByText('Arrived').waitFor()
    assert.ok(await refresh.evaluate(hasFocus), 'the focus was lost')
    assert.ok(
      await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'),
      'wider than the phone',
    )
    await checkAccessibility(page)
  })

  test('for admins: servers, stale lists over time, what a list went through', LIMIT, async (t) => {
    const stage = await setStage(t, { deviceLists: { retryBase: 60_000 } })
    const { bob, far } = stage
    const everybody = await signIn(t, stage)
    assert.equal(await everybody.getByRole('link', { name: 'Servers' }).count(), 0)
    await promote(stage.server, stage.alice.userId)
    far.answerAlways({ endpoint: 'devices' }, answers.status(503))
    bob.addDevice('LOST')
    await stage.tell(bob.addDevice('TABLET'))

    const page = await signIn(t, stage)
    await page.getByRole('link', { name: 'Servers' }).click()
    const row = page.getByRole('row').filter({ hasText: far.serverName })
    await row.getByText('Open: it fails').waitFor()
    await checkAccessibility(page)

    await page.getByRole('link', { name: 'Stale lists' }).click()
    await page.getByRole('img', { name: /^Stale lists by reason: .*now 1/ }).waitFor()
    await page.getByRole('img', { name: /^Stale lists by age of the doubt: .*now 1/ }).waitFor()
    await page.getByRole('table', { name: 'By reason, now' }).waitFor()
    await checkAccessibility(page)
    await page.getByRole('link', { name: bob.userId }).click()
    const history = page.getByRole('list', { name: 'History' })
    await history.getByText('A fetch failed').first().waitFor()
    await checkAccessibility(page)

    far.answerNormally()
    await page.getByRole('link', { name: 'Servers' }).click()
    await page.getByRole('button', { name: `Refresh lists of ${far.serverName}` }).click()
    await page.getByRole('status').filter({ hasText: 'will be fetched again' }).waitFor()
    await page.goto(`${stage.url}#lists/%`)
    await page.getByRole('heading', { name: '%' }).waitFor()
    await page.goto(`${stage.url}#lists/${encodeURIComponent(bob.userId)}`)
    await page.getByRole('button', { name: 'Refresh this list' }).click()
    await page.getByText('The list is up to date.').waitFor()
    await history.getByText('The list was fetched').first().waitFor()
  })

  test('nothing but what the homeserver serves', LIMIT, async (t) => {
    const stage = await setStage(t)
    const answer = await fetch(stage.url)
    const policy = answer.headers.get('content-security-policy')!
    for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"])
      assert.ok(policy.includes(part), policy)
    assert.ok(!policy.includes('unsafe'))
    const again = await fetch(stage.url, { headers: { 'if-none-match': answer.headers.get('etag')! } })
    assert.equal(again.status, 304)
    const bare = await fetch(stage.url.slice(0, -1), { redirect: 'manual' })
    assert.deepEqual([bare.status, bare.headers.get('location')], [308, '/_evergreen/'])
    const elsewhere = await fetch(`${stage.url}assets/..%2f..%2fpackage.json`)
    assert.equal(elsewhere.status, 404)
  })
})
