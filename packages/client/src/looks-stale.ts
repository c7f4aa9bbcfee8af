import type { MatrixClient, MatrixEvent, Room } from 'matrix-js-sdk'
import type { Device } from 'matrix-js-sdk/lib/models/device.js'
import { type SeenDevice, type SeenUser, type StaleSign, signsOf, type UndecryptableEvent } from './signs.ts'

/** What {@link looksStale} found. */
export type Staleness = {
  stale: boolean
  /** Why; empty if it does not look stale. */
  signs: StaleSign[]
}

/** How many of the newest events of a room are looked through for those that cannot be decrypted. */
const MAX_EVENTS_PER_ROOM = 200

/**
 * Whether the device list of a user looks stale, and by which signs: cross-signing keys but no signatures, no devices at
 * all, undecryptable events from a device that is not in the list, a server that the homeserver could not ask. Makes one
 * `/keys/query` request and looks through the timelines that the client has; changes nothing.
 *
 * @throws `MatrixError` and `ConnectionError` as any request of the SDK
 */
export async function looksStale(client: MatrixClient, userId: string): Promise<Staleness> {
  const signs = signsOf(await seenOnServer(client, userId))
  return { stale: signs.length > 0, signs }
}

/** The same without any request, by what the crypto store has; nothing is known of users whom it does not track. */
export async function looksStaleInStore(client: MatrixClient, userId: string): Promise<Staleness> {
  const crypto = client.getCrypto()
  const devices = (await crypto?.getUserDeviceInfo([userId]))?.get(userId)
  if (!crypto || !devices) return { stale: false, signs: [] }
  const keys = await crypto.getUserCrossSigningKeys(userId)
  const signs = signsOf({
    devices: [...devices.values()].map(seenDevice),
    selfSigningKeyId: keyIdOf(keys?.self_signing_key),
    undecryptable: undecryptableEvents(client, userId),
    failedServer: undefined,
  })
  return { stale: signs.length > 0, signs }
}

async function seenOnServer(client: MatrixClient, userId: string): Promise<SeenUser> {
  const { device_keys, self_signing_keys, failures } = await client.downloadKeysForUsers([userId])
  const serverName = userId.slice(userId.indexOf(':') + 1)
  const devices = Object.entries(device_keys?.[userId] ?? {}).map(([deviceId, { keys, signatures }]) => ({
    deviceId,
    identityKey: keys[`curve25519:${deviceId}`],
    signedBy: Object.keys(signatures?.[userId] ?? {}),
  }))
  return {
    devices,
    selfSigningKeyId: keyIdOf(self_signing_keys?.[userId]),
    undecryptable: undecryptableEvents(client, userId),
    failedServer: failures && Object.hasOwn(failures, serverName) ? serverName : undefined,
  }
}

function seenDevice(device: Device): SeenDevice {
  return {
    deviceId: device.deviceId,
    identityKey: device.getIdentityKey(),
    signedBy: [...(device.signatures.get(device.userId)?.keys() ?? [])],
  }
}

function keyIdOf(key: { keys: Record<string, string> } | undefined): string | undefined {
  return key && Object.keys(key.keys)[0]
}

function undecryptableEvents(client: MatrixClient, userId: string): UndecryptableEvent[] {
  return client
    .getRooms()
    .filter((room) => room.getMember(userId))
    .flatMap((room) => newestEvents(room))
    .filter((event) => event.getSender() === userId && event.isDecryptionFailure())
    .map(undecryptableEvent)
}

function newestEvents(room: Room): MatrixEvent[] {
  return room.getLiveTimeline().getEvents().slice(-MAX_EVENTS_PER_ROOM)
}

function undecryptableEvent(event: MatrixEvent): UndecryptableEvent {
  const content = event.getWireContent()
  const text = (value: unknown) => (typeof value === 'string' ? value : null)
  return {
    roomId: event.getRoomId() ?? '',
    eventId: event.getId() ?? '',
    deviceId: text(content.device_id),
    senderKey: text(content.sender_key),
  }
}
