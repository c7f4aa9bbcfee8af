import type { TestContext } from 'node:test'
import type { Homeserver, PartialSettings } from '@evergreen/homeserver'
import { type Account, register, request } from '../../../../interop/clients.ts'
import { prepareGround, startHomeserver, startRemote } from '../../../client/test/support/servers.ts'
import type { LoopbackRemote } from '../../../homeserver/test/support/loopback-remote.ts'
import { enterRoom } from '../../../homeserver/test/support/remote-in-room.ts'
import type { RemoteUser } from '../../../homeserver/test/support/remote-user.ts'

/** Alice's homeserver, and a scripted one whose users share an encrypted room with her. */
export type Stage = {
  server: Homeserver
  alice: Account
  far: LoopbackRemote
  bob: RemoteUser
  /** A user of the scripted server with one device, not in the room yet. */
  addPerson(localpart: string): RemoteUser
  enter(...users: RemoteUser[]): Promise<void>
  /** Tells alice's homeserver of a change. */
  tell(edu: ReturnType<RemoteUser['addDevice']>): Promise<void>
  url: string
}

export async function setStage(t: TestContext, settings: PartialSettings = {}): Promise<Stage> {
  const ground = await prepareGround(t)
  const far = await startRemote(t, ground)
  const server = await startHomeserver(t, ground, settings)
  const alice = await register(server.baseUrl(), { username: 'alice' })
  const { body } = await request(alice, 'POST', '/_matrix/client/v3/createRoom', {
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  })
  const roomId = String(body.room_id)

  const addPerson = (localpart: string) => {
    const user = far.addUser(localpart)
    user.addDevice(`${localpart.toUpperCase()}PHONE`, { displayName: 'Phone' })
    return user
  }
  const enter = async (...users: RemoteUser[]) => {
    const { serverName } = server.settings
    await enterRoom(far, { serverName, homeserver: server } as never, roomId, ...users.map((user) => user.userId))
  }
  const bob = addPerson('bob')
  bob.setCrossSigning()
  bob.signDevice('BOBPHONE')
  await enter(bob)
  return {
    server,
    alice,
    far,
    bob,
    addPerson,
    enter,
    async tell(edu) {
      await far.sendEdus(server.settings.serverName, [edu])
    },
    url: `${server.baseUrl()}/_evergreen/`,
  }
}
