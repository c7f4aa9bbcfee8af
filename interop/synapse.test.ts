// The ground that the other interop tests stand on: the Synapse of the set-up script runs, stops, comes back with its
// data, and a real client keeps its keys there.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createCrossSigningKeys,
  eventually,
  login,
  queryKeys,
  register,
  request,
  startCryptoClient,
} from './clients.ts'
import { skipWithoutSynapse, startSynapse } from './synapse.ts'

test('a client keeps its keys on a real Synapse, which survives a stop and a crash', {
  skip: skipWithoutSynapse(),
}, async (t) => {
  const synapse = await startSynapse()
  t.after(synapse.remove)
  const version = await request(synapse, 'GET', '/_matrix/federation/v1/version')
  t.diagnostic(`${JSON.stringify(version.body.server)} as ${synapse.serverName}`)

  const bob = await register(synapse.baseUrl, { username: 'bob' })
  const client = await startCryptoClient(bob)
  t.after(() => client.stopClient())
  await createCrossSigningKeys(client, bob)
  const keys = await eventually('the device is signed by its owner', async () => {
    const keys = await queryKeys(bob, bob.userId)
    const signatures = keys.devices[bob.deviceId]?.signatures as Record<string, object> | undefined
    return Object.keys(signatures?.[bob.userId] ?? {}).length === 2 && keys
  })
  assert.ok(keys.masterKey)

  const firstPid = synapse.pid()
  await synapse.stop()
  assert.equal(synapse.pid(), null)
  await assert.rejects(fetch(synapse.baseUrl), 'nothing listens while it is stopped')

  await synapse.start()
  assert.notEqual(synapse.pid(), firstPid)
  assert.deepEqual(await queryKeys(bob, bob.userId), keys)

  await synapse.stop('SIGKILL')
  await synapse.start()
  const secondDevice = await login(synapse.baseUrl, bob.userId, bob.password)
  assert.deepEqual(await queryKeys(secondDevice, bob.userId), keys)
})
