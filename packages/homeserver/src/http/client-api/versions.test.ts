import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../../test/support/accounts.ts'
import { sqliteBackend } from '../../storage/dialect.ts'
import { openStore } from '../../storage/store.ts'

const openAccounts = async (options = {}) => accountsOn(await openStore(sqliteBackend(':memory:')), options)

test('versions tells what is served, to anybody', async () => {
  const { ask } = await openAccounts()
  const { status, body } = await ask('GET', '/_matrix/client/versions')
  const versions = body.versions as string[]
  assert.equal(status, 200)
  for (const version of ['r0.0.1', 'r0.5.0', 'r0.6.1', 'v1.1', 'v1.11', 'v1.19']) assert.ok(versions.includes(version))
  const features = body.unstable_features as Record<string, boolean>
  assert.deepEqual([features['org.matrix.msc2638'], features['org.matrix.mscXXXX']], [true, true])
})

test('clients find the server by its public address, or else by the listener', async () => {
  const listening = await openAccounts()
  const own = await listening.ask('GET', '/.well-known/matrix/client')
  assert.deepEqual(own.body, { 'm.homeserver': { base_url: 'https://listener.example.org:8448' } })
  assert.equal(own.headers['access-control-allow-origin'], '*')
  assert.equal((await listening.ask('GET', '/.well-known/matrix/server')).body.errcode, 'M_NOT_FOUND')

  const { ask } = await openAccounts({ publicBaseUrl: 'https://matrix.example.org' })
  const client = await ask('GET', '/.well-known/matrix/client')
  assert.deepEqual(client.body, { 'm.homeserver': { base_url: 'https://matrix.example.org' } })
  const server = await ask('GET', '/.well-known/matrix/server')
  assert.deepEqual(server.body, { 'm.server': 'matrix.example.org:443' })
})

test('other servers are sent to the port of the public address', async () => {
  const withPort = await openAccounts({ publicBaseUrl: 'https://[2001:db8::1]:8443' })
  assert.deepEqual((await withPort.ask('GET', '/.well-known/matrix/server')).body, { 'm.server': '[2001:db8::1]:8443' })
  const plain = await openAccounts({ publicBaseUrl: 'http://localhost:8008' })
  assert.equal((await plain.ask('GET', '/.well-known/matrix/server')).status, 404)
})

test('capabilities are for those who are logged in', async () => {
  const { ask, user } = await openAccounts()
  const { token } = await user('alice')
  const { body } = await ask('GET', '/_matrix/client/v3/capabilities', undefined, token)
  const capabilities = body.capabilities as Record<string, { enabled: boolean }>
  assert.equal(capabilities['m.change_password']?.enabled, true)
  assert.equal(capabilities['m.profile_fields']?.enabled, true)
  assert.equal((await ask('GET', '/_matrix/client/v3/capabilities')).body.errcode, 'M_MISSING_TOKEN')
})
