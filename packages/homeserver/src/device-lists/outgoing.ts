import type { Edu } from '../matrix/federation.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { crossSigningKeys } from '../storage/cross-signing.ts'
import { addChanges, addNotices } from '../storage/device-list-stream.ts'
import { type LocalDevice, localDevices } from '../storage/devices.ts'
import * as storage from '../storage/outgoing-device-updates.ts'
import type { Store, Tx } from '../storage/store.ts'
import type { SharedRooms } from './tracking.ts'

/** What other servers and our own users are told of our users' lists. */
export type Outgoing = {
  /** Devices of one of our users appeared, changed or went. Part of the change's own transaction. */
  deviceChanged(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void>
  /** Master or self-signing key of one of our users changed. Part of the change's own transaction. */
  signingKeysChanged(tx: Tx, userId: UserId): Promise<void>
  /**
   * These servers share a room with our users from now on, and have to hear of their devices. Part of the membership's own
   * transaction. Every device is told under the place in the user's stream that it would have had had it come last: a
   * server that has nothing yet sees a gap and asks for the whole list, one that has it sees nothing new.
   */
  introduce(tx: Tx, userIds: readonly UserId[], servers: readonly ServerName[]): Promise<void>
  /** Something about `userId`'s keys changed that only `requester` sees. */
  noticeTo(tx: Tx, requester: UserId, userId: UserId): Promise<void>
  /** The answer to `GET /_matrix/federation/v1/user/devices/{userId}`. */
  localList(userId: UserId): Promise<JsonObject>
  /** For the sender: which destinations are owed updates, and the next of them. */
  source: {
    destinations(): Promise<ServerName[]>
    take(destination: ServerName, limit: number): Promise<{ id: string; edus: Edu[]; delivered(tx: Tx): Promise<void> }>
  }
}

/** @param wakeSender called after the commit, with the destinations that are owed something */
export function createOutgoing(parts: {
  store: Store
  sharedRooms: SharedRooms
  wakeSender: (destinations: readonly ServerName[]) => void
}): Outgoing {
  const { store, sharedRooms, wakeSender } = parts

  /** Tells those of our users who share a room with `userId`, and `userId`'s own devices. */
  async function tellLocally(tx: Tx, userId: UserId): Promise<void> {
    tx.wake([userId, ...(await sharedRooms.wakeKeys(tx.db, [userId]))])
    await addChanges(tx.db, await tx.position(), [userId])
  }

  async function destinationsOf(tx: Tx, userId: UserId): Promise<ServerName[]> {
    const destinations = await sharedRooms.servers(tx.db, userId)
    await storage.dropUpdatesExceptFor(tx.db, userId, destinations)
    if (destinations.length > 0) tx.afterCommit(() => wakeSender(destinations))
    return destinations
  }

  return {
    async deviceChanged(tx, userId, deviceIds) {
      const last = await storage.advanceLocalStream(tx.db, userId, deviceIds.length)
      const first = last - deviceIds.length + 1
      const destinations = await destinationsOf(tx, userId)
      await storage.queueUpdates(
        tx.db,
        destinations.flatMap((destination) =>
          deviceIds.map((device_id, index) => ({
            destination,
            user_id: userId,
            device_id,
            stream_id: first + index,
            prev_stream_id: first + index - 1,
          })),
        ),
      )
      await tellLocally(tx, userId)
    },

    async signingKeysChanged(tx, userId) {
      const destinations = await destinationsOf(tx, userId)
      const streamId = await storage.localStreamId(tx.db, userId)
      await storage.queueSigningKeys(tx.db, userId, destinations, streamId)
      await tellLocally(tx, userId)
    },

    async introduce(tx, userIds, servers) {
      const byUser = Map.groupBy(await localDevices(tx.db, userIds), (device) => device.user_id)
      const streamIds = await storage.localStreamIds(tx.db, [...byUser.keys()])
      const rows = [...byUser].flatMap(([userId, devices]) => {
        const first = Math.max(1, (streamIds.get(userId) ?? 1) - devices.length + 1)
        return devices.flatMap(({ device_id }, index) =>
          servers.map((destination) => ({
            destination,
            user_id: userId,
            device_id,
            stream_id: first + index,
            prev_stream_id: first + index - 1,
          })),
        )
      })
      await storage.queueUpdates(tx.db, rows)
      if (rows.length > 0) tx.afterCommit(() => wakeSender(servers))
    },

    async noticeTo(tx, requester, userId) {
      tx.wake([requester])
      await addNotices(tx.db, await tx.position(), [requester], userId)
    },

    async localList(userId) {
      // The stream ID first: a change that slips in between is told again by the update that carries its ID.
      const stream_id = await storage.localStreamId(store.db, userId)
      const [devices, keys] = await Promise.all([
        localDevices(store.db, [userId]),
        crossSigningKeys(store.db, [userId]),
      ])
      return {
        user_id: userId,
        stream_id,
        devices: devices.map((device) => ({
          device_id: device.device_id,
          ...named(device),
          ...(device.device_keys === null ? {} : { keys: JSON.parse(device.device_keys) }),
        })),
        ...publicKeys(keys),
      }
    },

    source: {
      destinations: () => storage.queuedDestinations(store.db),
      async take(destination, limit) {
        const updates = await storage.queuedUpdates(store.db, destination, limit)
        const userIds = [...new Set(updates.map((update) => update.user_id))]
        const [devices, keys, bases] = await Promise.all([
          localDevices(store.db, userIds),
          crossSigningKeys(store.db, userIds),
          storage.chainBases(store.db, destination, userIds),
        ])
        const deviceOf = new Map(devices.map((device) => [`${device.user_id} ${device.device_id}`, device]))
        const previous = new Map(bases)
        const edus = updates.map((update): Edu => {
          if (update.device_id === storage.SIGNING_KEYS) {
            const own = keys.filter((key) => key.user_id === update.user_id)
            return { edu_type: 'm.signing_key_update', content: { user_id: update.user_id, ...publicKeys(own) } }
          }
          const prevId = previous.get(update.user_id) ?? update.prev_stream_id
          previous.set(update.user_id, update.stream_id)
          return deviceListUpdate(update, prevId, deviceOf.get(`${update.user_id} ${update.device_id}`))
        })
        return {
          id: updates.map((update) => `${update.id}.${update.stream_id}`).join(),
          edus,
          async delivered(tx) {
            for (const [userId, some] of Map.groupBy(updates, (update) => update.user_id)) {
              await storage.settleUpdates(tx.db, destination, userId, some)
            }
          },
        }
      },
    },
  }
}

/** Server-server API, "m.device_list_update schema". A device that is gone by now is told as deleted. */
function deviceListUpdate(update: storage.OutgoingUpdate, prevId: number, device: LocalDevice | undefined): Edu {
  const { user_id, device_id, stream_id } = update
  const content: JsonObject = { user_id, device_id, stream_id, prev_id: [prevId] }
  if (!device) return { edu_type: 'm.device_list_update', content: { ...content, deleted: true } }
  const keys = device.device_keys === null ? {} : { keys: JSON.parse(device.device_keys) }
  return { edu_type: 'm.device_list_update', content: { ...content, ...named(device), ...keys } }
}

function named(device: LocalDevice): JsonObject {
  return device.display_name === null ? {} : { device_display_name: device.display_name }
}

/** The cross-signing keys that other servers may see: never the user-signing key. */
function publicKeys(keys: readonly { usage: string; key: string }[]): JsonObject {
  const content: JsonObject = {}
  for (const { usage, key } of keys) {
    if (usage === 'master') content.master_key = JSON.parse(key)
    if (usage === 'self_signing') content.self_signing_key = JSON.parse(key)
  }
  return content
}
