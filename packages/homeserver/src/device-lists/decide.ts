import type { UserId } from '../matrix/ids.ts'
import { canonicalJson, isObject } from '../matrix/json.ts'
import { readDeviceKeys, type Snapshot } from './snapshot.ts'

/** An `m.device_list_update`, read and checked. Server-server API, "m.device_list_update schema". */
export type DeviceListUpdate = {
  userId: UserId
  deviceId: string
  streamId: number
  prevIds: number[]
  deleted: boolean
  /** As `/keys/query` answers them; `undefined` if the device has none. */
  keys: Record<string, unknown> | undefined
}

/**
 * Reads the content of an `m.device_list_update` for a user who is known to be of the right server.
 * @returns in words what is wrong with it, where something is: a malformed update is a doubt
 */
export function readUpdate(
  content: Record<string, unknown>,
  userId: UserId,
  keepDisplayNames: boolean,
): DeviceListUpdate | string {
  const {
    device_id: deviceId,
    stream_id: streamId,
    prev_id: prevIds = [],
    deleted,
    keys,
    device_display_name,
  } = content
  if (typeof deviceId !== 'string') return 'device_id is not a string'
  if (!Number.isSafeInteger(streamId)) return 'stream_id is not an integer'
  if (!Array.isArray(prevIds) || !prevIds.every(Number.isSafeInteger)) return 'prev_id is not an array of integers'
  if (deleted !== undefined && typeof deleted !== 'boolean') return 'deleted is not a boolean'
  const update = {
    userId,
    deviceId,
    streamId: streamId as number,
    prevIds: prevIds as number[],
    deleted: deleted === true,
  }
  const bare = keys === undefined || keys === null || (isObject(keys) && Object.keys(keys).length === 0)
  if (update.deleted || bare) return { ...update, keys: undefined }
  const read = readDeviceKeys(keys, userId, deviceId, keepDisplayNames ? device_display_name : undefined)
  return read ? { ...update, keys: read } : 'the keys do not name that user and device'
}

/** What to do with an update: change the list, nothing, or fetch the list again. */
export type Decision = { kind: 'apply' } | { kind: 'ignore' } | { kind: 'doubt'; reason: DoubtReason }

/** Why a list may be wrong. */
export type DoubtReason =
  | 'gap'
  | 'empty prev_id'
  | 'not newer'
  | 'malformed update'
  | 'no list yet'
  | 'room joined'
  | 'refresh'
  | 'query'
  | 'update during fetch'
  | 'unknown device'
  | 'claim omitted a device'
  | 'incoherent'
  | 'server was away'
  | 'server rebuilt'
  | 'we were away'
  | 'audit'

/**
 * Decides what an update means for a list. The whole rule is here; it takes and gives values only.
 * @param list the list as it is kept, with the `streamId` it stands at; `undefined` if there is none yet
 */
export function decide(list: Snapshot | undefined, update: DeviceListUpdate): Decision {
  if (!list) return { kind: 'doubt', reason: 'no list yet' }
  if (update.streamId <= list.streamId) {
    return tellsWhatWeHave(list, update) ? { kind: 'ignore' } : { kind: 'doubt', reason: 'not newer' }
  }
  if (update.prevIds.length === 0) return { kind: 'doubt', reason: 'empty prev_id' }
  // A list at 5 has everything up to 5, so naming an older predecessor is no gap: Synapse's snapshots carry a stream
  // ID of the whole server, which runs ahead of the one that the user's next update names.
  return Math.max(...update.prevIds) <= list.streamId ? { kind: 'apply' } : { kind: 'doubt', reason: 'gap' }
}

/** Whether the update says of its device exactly what the list says. */
function tellsWhatWeHave(list: Snapshot, { deviceId, deleted, keys }: DeviceListUpdate): boolean {
  if (deleted) return !list.deviceKeys.has(deviceId) && !list.keyless.includes(deviceId)
  if (!keys) return list.keyless.includes(deviceId)
  const ours = list.deviceKeys.get(deviceId)
  return ours !== undefined && canonicalJson(ours) === canonicalJson(keys)
}

/** The list with a contiguous update applied. The old list is left as it was. */
export function applyUpdate(list: Snapshot, { deviceId, streamId, deleted, keys }: DeviceListUpdate): Snapshot {
  const deviceKeys = new Map(list.deviceKeys)
  const keyless = new Set(list.keyless)
  deviceKeys.delete(deviceId)
  keyless.delete(deviceId)
  if (!deleted && keys) deviceKeys.set(deviceId, keys)
  if (!deleted && !keys) keyless.add(deviceId)
  return { ...list, streamId, deviceKeys, keyless: [...keyless] }
}

/**
 * Updates of one transaction in the order in which they were made. Stream IDs grow along the chain that `prev_id`
 * makes, whatever order the updates came in.
 */
export function inChainOrder(updates: readonly DeviceListUpdate[]): DeviceListUpdate[] {
  return updates.toSorted((a, b) => a.streamId - b.streamId)
}
