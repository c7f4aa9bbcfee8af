import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorResponse } from '../../homeserver/test/support/responses.ts'
import { looksStale } from '../src/index.ts'
import { prepareGround, startHomeserver, startRemote, startUser } from './support/servers.ts'

test('a list looks stale by cross-signing keys without signatures, by no devices, and by a server that fails', async (t) => {
  const ground = await prepareGround(t)
  const remote = await startRemote(t, ground)
  const server = await startHomeserver(t, ground)
  const { client } = await startUser(t, server, 'alice')
  const [bob, carol, dora] = [remote.addUser('bob'), remote.addUser('carol'), remote.addUser('dora')]
  bob.addDevice('PHONE')
  assert.deepEqual(await looksStale(client, bob.userId), { stale: false, signs: [] })

  bob.setCrossSigning()
  assert.deepEqual(await looksStale(client, bob.userId), {
    stale: true,
    signs: [{ sign: 'unsignedDevices', deviceIds: ['PHONE'] }],
  })
  bob.signDevice('PHONE')
  assert.equal((await looksStale(client, bob.userId)).stale, false)

  assert.deepEqual((await looksStale(client, carol.userId)).signs, [{ sign: 'noDevices' }])

  remote.answerAlways({}, () => errorResponse(500, 'M_UNKNOWN'))
  const { signs } = await looksStale(client, dora.userId)
  assert.deepEqual(signs, [{ sign: 'serverFailure', serverName: remote.serverName }])
})
