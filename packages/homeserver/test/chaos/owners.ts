import { readSnapshot, type Snapshot } from '../../src/device-lists/snapshot.ts'
import type { Edu } from '../../src/matrix/federation.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import { NetworkError } from '../../src/platform/network.ts'
import type { Random } from '../../src/platform/random.ts'
import type { RemoteUser } from '../support/remote-user.ts'
import { type ClientAnswer, confirmation, type TestClient } from '../support/test-client.ts'
import { createTestIdentity, type TestIdentity } from '../support/test-keys.ts'
import type { TestServer } from '../support/test-server.ts'
import type { Change } from './plan.ts'

/** Somebody whose devices change. */
export type Owner = {
  userId: string
  /** @returns what a scripted remote has to tell others; Evergreens do so themselves. A change that is not possible is none */
  change(change: Change, pick: number): Promise<Edu | undefined>
  /** The list as it is; `undefined` while its server is down. */
  list(): Promise<Snapshot | undefined>
}

const MOST_DEVICES = 8

export function remoteOwner(user: RemoteUser): Owner {
  let made = 0

  function changed(change: Change, pick: number): Edu | undefined {
    const devices = [...user.devices.keys()]
    const device = devices[Math.floor(pick * devices.length)]
    if (change === 'add')
      return devices.length < MOST_DEVICES ? user.addDevice(`D${made++}`, { withoutKeys: pick < 0.1 }) : undefined
    if (change === 'cross-sign') return user.setCrossSigning()
    if (device === undefined) return undefined
    if (change === 'remove') return user.removeDevice(device)
    if (change === 'rename') return user.renameDevice(device, `name ${pick}`)
    if (change === 'replace') return user.replaceKeys(device)
    return user.identity && user.devices.get(device)?.deviceKeys ? user.signDevice(device) : undefined
  }

  return {
    userId: user.userId,
    change: async (change, pick) => changed(change, pick),
    list: async () => snapshotIn(user.list(), user.userId),
  }
}

/** @param first the client of the device that stays */
export function localOwner(server: TestServer, first: TestClient, random: Random): Owner {
  const others: TestClient[] = []
  let identity: TestIdentity | undefined

  async function changed(change: Change, pick: number): Promise<void> {
    const place = Math.floor(pick * others.length)
    const some = others[place]
    if (change === 'add' && others.length < MOST_DEVICES) others.push(await first.login())
    if (change === 'remove' && some) {
      await some.request('POST', '/logout', {})
      others.splice(place, 1)
    }
    if (change === 'rename') {
      const { deviceId } = some ?? first
      await first.request('PUT', `/devices/${deviceId}`, { display_name: `name ${pick}` })
    }
    if (change === 'cross-sign') identity = await crossSign(first, random)
    if (change === 'sign' && identity) {
      const { deviceId, device } = some ?? first
      const signed = { [first.userId]: { [deviceId]: identity.sign(device.deviceKeys) } }
      await first.request('POST', '/keys/signatures/upload', signed)
    }
  }

  return {
    userId: first.userId,
    async change(change, pick) {
      try {
        await changed(change, pick)
      } catch (error) {
        // Its server is down, or was killed meanwhile: whether the change was made shows when it is back.
        if (!(error instanceof NetworkError)) throw error
      }
      return undefined
    },
    async list() {
      if (!server.isRunning()) return undefined
      const list = await server.look(({ ctx }) => ctx.deviceLists.localList(first.userId as UserId))
      return snapshotIn(list, first.userId)
    },
  }
}

async function crossSign(client: TestClient, random: Random): Promise<TestIdentity> {
  const identity = createTestIdentity(random, client.userId)
  const { masterKey: master_key, selfSigningKey: self_signing_key, userSigningKey: user_signing_key } = identity
  const keys = { master_key, self_signing_key, user_signing_key }
  const upload = (auth?: object): Promise<ClientAnswer> =>
    client.request('POST', '/keys/device_signing/upload', { ...keys, ...(auth ? { auth } : {}) })
  const asked = await upload()
  if (asked.status === 401) await upload({ ...confirmation(client), session: asked.body.session })
  return identity
}

function snapshotIn(list: unknown, userId: string): Snapshot {
  const reading = readSnapshot(list, userId as UserId)
  if (!reading.ok) throw new Error(`the true list of ${userId} is not valid: ${reading.why}`)
  return reading.snapshot
}
