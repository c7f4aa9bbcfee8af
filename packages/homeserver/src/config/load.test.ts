import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { allDefinitions } from './definitions.ts'
import { loadSettings, SettingsError } from './load.ts'
import { printSettings } from './print.ts'

const folder = mkdtempSync(join(tmpdir(), 'evergreen-settings-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

function yaml(text: string): string {
  const file = join(folder, `${files++}.yaml`)
  writeFileSync(file, text)
  return file
}

const settingsOf = async (text: string, env: Record<string, string> = {}) =>
  (await loadSettings({ file: yaml(text), env })).settings
const fromEnv = (env: Record<string, string>) => loadSettings({ env })

/** Refuses in one line that says all of these. */
async function refuses(loading: Promise<unknown>, ...words: string[]): Promise<void> {
  await assert.rejects(loading, (error: Error) => {
    assert.ok(error instanceof SettingsError, String(error))
    assert.ok(!error.message.includes('\n'), error.message)
    for (const word of words) assert.ok(error.message.includes(word), `"${error.message}" lacks "${word}"`)
    return true
  })
}

describe('loadSettings', () => {
  it('gives the defaults where nobody says anything', async () => {
    const { settings, warnings } = await fromEnv({})
    assert.equal(settings.serverName, 'localhost:8448')
    assert.deepEqual(settings.listen, { host: '127.0.0.1', port: 8008 })
    assert.deepEqual(settings.tlsListen, { host: '127.0.0.1', port: 8448 })
    assert.equal(settings.registration, 'token')
    assert.equal(settings.federationAllowPrivate, false)
    assert.equal(settings.rateLimits, true)
    assert.equal(settings.deviceLists.refreshWait, 5_000)
    assert.equal(settings.deviceLists.retryCap, 3_600_000)
    assert.deepEqual(warnings, [])
  })

  it('reads the file, and lets a variable win', async () => {
    const text = 'server_name: a.example\nregistration: closed\ndevice_lists:\n  refresh_wait: 100\n  retry_base: 7\n'
    const settings = await settingsOf(text, { EVERGREEN_REGISTRATION: 'open', EVERGREEN_DEVICE_LISTS_RETRY_BASE: '9' })
    assert.equal(settings.serverName, 'a.example')
    assert.equal(settings.registration, 'open')
    assert.equal(settings.deviceLists.refreshWait, 100)
    assert.equal(settings.deviceLists.retryBase, 9)
  })

  it('takes an empty variable for none', async () => {
    const settings = await settingsOf('registration: closed', { EVERGREEN_REGISTRATION: '' })
    assert.equal(settings.registration, 'closed')
  })

  it('reads lists, switches and addresses as variables have them', async () => {
    const { settings } = await fromEnv({
      EVERGREEN_FEDERATION_DENY: 'evil.example, *.evil.example',
      EVERGREEN_TLS_LISTEN: 'off',
      EVERGREEN_LISTEN: '[::1]:80',
      EVERGREEN_RATE_LIMITS: 'off',
      EVERGREEN_FEDERATION_ALLOW_PRIVATE: 'true',
    })
    assert.deepEqual(settings.federationDeny, ['evil.example', '*.evil.example'])
    assert.equal(settings.tlsListen, undefined)
    assert.deepEqual(settings.listen, { host: '::1', port: 80 })
    assert.equal(settings.rateLimits, false)
    assert.equal(settings.federationAllowPrivate, true)
  })

  it('refuses a value of the wrong kind, by key, value and what was expected', async () => {
    await refuses(settingsOf('registration: maybe'), 'registration', 'maybe', 'closed')
    await refuses(settingsOf('listen: 8008'), 'listen', '8008')
    await refuses(settingsOf('trusted_proxies: [10.0.0.0/8, proxy.example]'), 'trusted_proxies', 'proxy.example')
    await refuses(settingsOf('trusted_proxies: [10.0.0.0/33]'), 'trusted_proxies', '10.0.0.0/33')
    await refuses(settingsOf('rate_limits: 3'), 'rate_limits', '3', 'on')
    await refuses(settingsOf('device_lists: 3'), 'device_lists', '3')
    await refuses(settingsOf('device_lists:\n  fetches: 0'), 'device_lists.fetches', '0')
    await refuses(fromEnv({ EVERGREEN_SERVER_NAME: 'not a name' }), 'EVERGREEN_SERVER_NAME', 'not a name')
    await refuses(
      fromEnv({ EVERGREEN_DEVICE_LISTS_REFRESH_WAIT: '5s' }),
      'EVERGREEN_DEVICE_LISTS_REFRESH_WAIT',
      '5s',
      'milliseconds',
    )
    await refuses(fromEnv({ EVERGREEN_DATABASE_URL: 'mysql://x' }), 'EVERGREEN_DATABASE_URL')
    await refuses(fromEnv({ EVERGREEN_LISTEN: '127.0.0.1:70000' }), 'EVERGREEN_LISTEN', '70000')
  })

  it('refuses an unknown key, on every level', async () => {
    await refuses(settingsOf('sever_name: a.example'), 'sever_name', 'a.example')
    await refuses(settingsOf('device_lists:\n  refresh_weight: 1'), 'device_lists.refresh_weight')
    await refuses(settingsOf('__proto__:\n  registration: open'), '__proto__')
    assert.equal(({} as Record<string, unknown>).registration, undefined)
  })

  it('refuses a file that cannot be read, or is no YAML mapping', async () => {
    await refuses(loadSettings({ file: join(folder, 'none.yaml'), env: {} }), 'none.yaml', 'ENOENT')
    await refuses(settingsOf('a: [b'), 'YAML')
    await refuses(settingsOf('- a\n- b'), 'mapping')
  })

  it('refuses one half of a certificate', async () => {
    await refuses(fromEnv({ EVERGREEN_TLS_CERT: 'a.pem' }), 'tls_cert', 'tls_key')
  })

  it('does not say a secret that it refuses', async () => {
    await assert.rejects(
      settingsOf('registration_token: [hunter2]'),
      (error: Error) => !error.message.includes('hunter2'),
    )
  })

  it('warns of an unknown variable, and of a setting that has no effect', async () => {
    const { warnings } = await fromEnv({ EVERGREEN_REGISTRASION: 'open', EVERGREEN_APPSERVICE_FILES: 'a.yaml' })
    assert.equal(warnings.length, 2)
    assert.match(warnings[0]!, /EVERGREEN_REGISTRASION/)
    assert.match(warnings[1]!, /appservice_files.*no effect/)
  })
})

describe('printSettings', () => {
  it('prints what can be read again, without the secrets', async () => {
    const { settings } = await fromEnv({
      EVERGREEN_SERVER_NAME: 'a.example',
      EVERGREEN_REGISTRATION_TOKEN: 'hunter2',
      EVERGREEN_REGISTRATION_SHARED_SECRET: 'hunter3',
      EVERGREEN_DATABASE_URL: 'postgres://user:hunter4@127.0.0.1/db',
    })
    const printed = printSettings(settings)
    assert.doesNotMatch(printed, /hunter/)
    assert.match(printed, /^server_name: a\.example$/m)
    assert.match(printed, /refresh_wait: 5000/)
  })
})

describe('docs/configuration.md', () => {
  const text = readFileSync(new URL('../../../../docs/configuration.md', import.meta.url), 'utf8')
  for (const { name, variable, unbuilt } of allDefinitions) {
    it(`describes ${name}`, () => {
      const row = text.split('\n').find((line) => line.startsWith(`| \`${name}\` | \`${variable}\` |`))
      assert.ok(row)
      assert.equal(row.includes('No effect yet'), unbuilt === true)
    })
  }
})
