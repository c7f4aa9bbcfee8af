import type { Generated } from 'kysely'
import type { EventId, RoomId, ServerName, UserId } from '../matrix/ids.ts'

/** Tables of what happens in rooms and is no event. What the columns mean is said in `migrations/0004-ephemeral.ts`. */
export type EphemeralTables = {
  typing: { room_id: RoomId; user_id: UserId; expires_at: number; told_at: number }
  typing_rooms: { room_id: RoomId; position: number }
  receipts: ReceiptsTable
  presence: PresenceTable
  presence_devices: { user_id: UserId; device_id: string; presence: DevicePresence; expires_at: number }
  outgoing_edus: OutgoingEdusTable
}

export type ReceiptsTable = {
  room_id: RoomId
  user_id: UserId
  type: ReceiptType
  /** The empty string: unthreaded. */
  thread_id: string
  event_id: EventId
  /** Where the event stands in the order of its room; `null` if we do not have it. */
  event_position: number | null
  /** Epoch ms, as the user's server says. */
  ts: number
  position: number
}

export type ReceiptType = 'm.read' | 'm.read.private'

export type Presence = 'online' | 'unavailable' | 'offline'
export type DevicePresence = Exclude<Presence, 'offline'>

export type PresenceTable = {
  user_id: UserId
  presence: Presence
  status_msg: string | null
  last_active_at: number
  currently_active: number
  /** The last change that others see. */
  position: number
  /** When other servers were told last. */
  told_at: number
  /** When time alone changes it, or it is to be told again. */
  due_at: number | null
}

export type OutgoingEduKind = 'typing' | 'receipt' | 'presence'

export type OutgoingEdusTable = {
  id: Generated<number>
  destination: ServerName
  /** What a newer one replaces. */
  key: string
  kind: OutgoingEduKind
  content: string
  position: number
  created_at: number
}
