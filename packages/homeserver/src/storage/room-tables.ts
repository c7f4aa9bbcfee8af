import type { Generated } from 'kysely'
import type { EventId, RoomAlias, RoomId, ServerName, UserId } from '../matrix/ids.ts'

/** The tables of rooms, as TypeScript sees them. What the columns mean is said in `migrations/0003-rooms.ts`. */
export type RoomTables = {
  rooms: RoomsTable
  events: EventsTable
  event_auth: { event_id: EventId; auth_id: EventId }
  missing_events: { room_id: RoomId; event_id: EventId; depth: number }
  state_groups: StateGroupsTable
  current_state: { room_id: RoomId; type: string; state_key: string; event_id: EventId }
  state_changes: StateChangesTable
  memberships: MembershipsTable
  stripped_state: { room_id: RoomId; user_id: UserId; events: string; told_by: ServerName }
  departures: { user_id: UserId; due_at: number }
  room_aliases: { alias: RoomAlias; room_id: RoomId; creator: UserId; created_at: number }
  event_transactions: EventTransactionsTable
  outgoing_events: { destination: ServerName; position: number; event_id: EventId; room_id: RoomId }
}

export type RoomsTable = {
  room_id: RoomId
  version: string
  extremities: string
  /** The resolved state after all extremities; `null` where we only know of the room by an invitation or a knock. */
  state_group: number | null
  depth: number
  last_position: number
  oldest_position: number
  published: Generated<number>
  is_open: Generated<number>
  created_at: number
}

/** `withheld`: a redaction that is accepted but redacts nothing (yet), so that clients do not see it. */
export type EventStatus = 'accepted' | 'soft_failed' | 'rejected' | 'withheld'

export type EventsTable = {
  event_id: EventId
  room_id: RoomId
  position: number | null
  depth: number
  type: string
  state_key: string | null
  sender: UserId
  origin_server_ts: number
  status: EventStatus
  state_before: number | null
  state_after: number | null
  pdu: string
  redacts: EventId | null
  redacted_by: EventId | null
  relates_to: EventId | null
  rel_type: string | null
}

type StateGroupsTable = {
  id: Generated<number>
  room_id: RoomId
  prev_id: number | null
  hops: number
  entries: string
}

export type Membership = 'join' | 'invite' | 'knock' | 'leave' | 'ban'

export type StateChangesTable = {
  position: number
  room_id: RoomId
  type: string
  state_key: string
  event_id: EventId | null
  prev_event_id: EventId | null
  membership: Membership | null
  prev_membership: Membership | null
}

export type MembershipsTable = {
  room_id: RoomId
  user_id: UserId
  server_name: ServerName
  is_local: number
  membership: Membership
  event_id: EventId
  sender: UserId
  position: number
  display_name: string | null
  avatar_url: string | null
  forgotten: number
}

type EventTransactionsTable = {
  user_id: UserId
  device_id: string
  scope: string
  txn_id: string
  event_id: EventId
  created_at: number
}
