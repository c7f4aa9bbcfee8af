import { type MatrixClient, type MatrixEvent, RoomEvent } from 'matrix-js-sdk'
import { eventually, login, queryKeys, register, startCryptoClient } from '../interop/clients.ts'

/** One device of somebody, with a client that encrypts and decrypts. */
export type Device = {
  userId: string
  deviceId: string
  client: MatrixClient
  /** The device IDs of a user that the homeserver of this one knows of. */
  devicesOf(userId: string): Promise<string[]>
  /** The same as the client's own crypto store has it, which is what messages are encrypted for. */
  devicesInStore(userId: string): Promise<string[]>
  /** The text of an event once it is decrypted. @returns `unreadable` if it cannot be */
  reads(roomId: string, eventId: string): Promise<string | 'unreadable'>
}

const PASSWORD = 'a password of the demonstration'
/** How long a step may take (ms). */
export const PATIENCE_MS = 30_000

/** A new person, or a further device of somebody who is there already. */
export async function signIn(baseUrl: string, who: { username: string } | { userId: string }): Promise<Device> {
  const account =
    'username' in who
      ? await register(baseUrl, { username: who.username, password: PASSWORD })
      : await login(baseUrl, who.userId, PASSWORD)
  const client = await startCryptoClient(account)
  const { userId, deviceId } = account
  await eventually(
    'the keys of the device are uploaded',
    async () => deviceId in (await queryKeys(account, userId)).devices,
  )
  return {
    userId,
    deviceId,
    client,
    devicesOf: async (other) => Object.keys((await queryKeys(account, other)).devices).sort(),
    async devicesInStore(other) {
      const devices = await client.getCrypto()!.getUserDeviceInfo([other])
      return [...(devices.get(other)?.keys() ?? [])].sort()
    },
    reads: async (roomId, eventId) => textOf(await eventIn(client, roomId, eventId)),
  }
}

/** An encrypted room of these two. @returns its ID */
export async function meet(host: Device, guest: Device): Promise<string> {
  const { room_id: roomId } = await host.client.createRoom({
    preset: 'trusted_private_chat' as never,
    is_direct: true,
    invite: [guest.userId],
    initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  })
  const isSeen = (client: MatrixClient, userId: string, membership: string) => async () =>
    client.getRoom(roomId)?.getMember(userId)?.membership === membership
  await eventually('the invitation arrives', isSeen(guest.client, guest.userId, 'invite'), PATIENCE_MS)
  await guest.client.joinRoom(roomId)
  await eventually('both are in the room', isSeen(host.client, guest.userId, 'join'), PATIENCE_MS)
  return roomId
}

/** Writes a message. @returns its event ID */
export async function write(device: Device, roomId: string, text: string): Promise<string> {
  return (await device.client.sendTextMessage(roomId, text)).event_id
}

function eventIn(client: MatrixClient, roomId: string, eventId: string): Promise<MatrixEvent> {
  const find = () => client.getRoom(roomId)?.findEventById(eventId)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(() => reject(new Error('the message has not arrived'))), PATIENCE_MS)
    const look = () => {
      const found = find()
      if (found) end(() => resolve(found))
    }
    const end = (settle: () => void) => {
      clearTimeout(timer)
      client.off(RoomEvent.Timeline, look)
      settle()
    }
    client.on(RoomEvent.Timeline, look)
    look()
  })
}

/** A message may come before its key, a moment later: what still cannot be read after this time has none (ms). */
const KEY_MS = 3_000

async function textOf(event: MatrixEvent): Promise<string | 'unreadable'> {
  const readable = async () => {
    await event.getDecryptionPromise()
    return !event.isBeingDecrypted() && !event.isDecryptionFailure() && event.getClearContent() !== null
  }
  const isRead = await eventually('the key arrives', readable, KEY_MS).catch(() => false)
  return isRead ? String(event.getClearContent()!.body) : 'unreadable'
}
