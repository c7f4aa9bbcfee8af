import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'
import type { AxeResults } from 'axe-core'
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

/** Where systems have one. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const CHROMIUM = PLACES.find((path) => existsSync(path))
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const SWITCHES = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Why the tests in a browser cannot run on this machine, said aloud; `false` if they can. In CI that is no excuse. */
export function missingBrowser(): string | false {
  if (CHROMIUM) return false
  const reason = `there is no Chromium, neither of ${PLACES.join(', ')}`
  if (process.env.CI) throw new Error(`the page cannot be tested: ${reason}`)
  const banner = '*'.repeat(100)
  console.error(`\n${banner}\n*** TESTS OF THE PAGE SKIPPED: ${reason}\n${banner}\n`)
  return reason
}

/** Opens pages in one Chromium, which ends with the test file. Nothing may fail on them, or ask anybody but the homeserver. */
export function startBrowser(): { open(t: TestContext, url: string, options?: BrowserContextOptions): Promise<Page> } {
  let started: Promise<{ context(options: BrowserContextOptions): Promise<BrowserContext>; end(): Promise<void> }>
  const start = async () => {
    const profile = await mkdtemp(join(tmpdir(), 'evergreen-browser-'))
    const browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: SWITCHES,
      env: { ...process.env, HOME: profile },
    })
    return {
      context: (options: BrowserContextOptions) => browser.newContext({ reducedMotion: 'reduce', ...options }),
      async end() {
        await browser.close()
        await rm(profile, { recursive: true, force: true })
      },
    }
  }
  after(async () => (await started)?.end())
  return {
    async open(t, url, options = {}) {
      started ??= start()
      const context = await (await started).context(options)
      const page = await context.newPage()
      const problems: string[] = []
      page.on('request', (request) => {
        if (new URL(request.url()).origin !== new URL(url).origin) problems.push(`asked ${request.url()}`)
      })
      page.on('pageerror', (error) => problems.push(String(error)))
      page.on('console', (message) => {
        // What the policy refuses is said here too; that a request was refused by the server is none of the page's faults.
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
          problems.push(message.text())
      })
      t.after(async () => {
        await context.close()
        assert.deepEqual(problems, [])
      })
      await page.goto(url)
      return page
    },
  }
}

/** Fails if the page as it is now keeps anybody out. */
export async function checkAccessibility(page: Page): Promise<void> {
  // By the debugger, which the page's own policy does not bind.
  await page.evaluate(AXE)
  const { violations } = await page.evaluate<AxeResults>('axe.run()')
  const found = violations.map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)])
  assert.deepEqual(found, [])
}
