import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import type { Device } from './ports.ts'

/**
 * Which membership events devices have been sent, so that they are not sent again ("Lazy-loading room members"). A memory
 * that may forget: what it does not know, such as what another process has sent, is sent once more.
 */
export type SentMembers = {
  /** What a device has that stands at position `since`: answers beyond that may never have reached it. */
  of(device: Device, since: number | undefined): DeviceMemory
}

export type DeviceMemory = {
  has(roomId: RoomId, userId: UserId, eventId: EventId): boolean
  /** @param upTo the position of the answer that it is sent with */
  note(roomId: RoomId, userId: UserId, eventId: EventId, upTo: number): void
}

const DEVICES = 2_000
const MEMBERS_OF_A_DEVICE = 1_000

type Sent = { eventId: EventId; position: number }

export function createSentMembers(): SentMembers {
  const devices = createBoundedCache<string, Map<string, Sent>>(DEVICES)
  return {
    of({ userId, deviceId }, since) {
      const name = `${userId} ${deviceId}`
      // Who begins anew has nothing.
      if (since === undefined) devices.delete(name)
      return {
        has(roomId, userId, eventId) {
          const known = devices.get(name)?.get(`${roomId} ${userId}`)
          return known !== undefined && known.eventId === eventId && known.position <= (since ?? 0)
        },
        note(roomId, userId, eventId, upTo) {
          const key = `${roomId} ${userId}`
          // Devices that want all members need no memory of their own.
          const sent = devices.get(name) ?? new Map<string, Sent>()
          devices.set(name, sent)
          const known = sent.get(key)
          const isKnown = known?.eventId === eventId && known.position <= (since ?? 0)
          if (isKnown) return
          sent.set(key, { eventId, position: upTo })
          // A map keeps the order: the one sent first goes.
          if (sent.size > MEMBERS_OF_A_DEVICE) sent.delete(sent.keys().next().value!)
        },
      }
    },
  }
}
