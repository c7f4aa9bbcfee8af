import type { Generated } from 'kysely'
import type { EventId, RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { StaleCount } from './device-list-counts.ts'
import type { EphemeralTables } from './ephemeral-tables.ts'
import type { MediaTable } from './media.ts'
import type { ReadingTables } from './reading-tables.ts'
import type { RoomTables } from './room-tables.ts'

/**
 * Every table, as TypeScript sees it. What the columns mean is said in `migrations/`. Times are epoch milliseconds,
 * flags are 0 or 1, JSON is kept as text so that it is parsed only where it is looked into.
 */
export type Tables = RoomTables &
  EphemeralTables &
  ReadingTables & {
    media: MediaTable
    server_info: { name: string; value: string }
    signing_keys: { key_id: string; seed: string; created_at: number; expired_at: number | null }
    stream_position: { id: number; position: number }

    users: UsersTable
    profile_fields: { user_id: UserId; name: string; value: string }
    account_data: { user_id: UserId; room_id: string; type: string; content: string; position: number }
    notifications: NotificationsTable
    filters: { user_id: UserId; filter_id: string; definition: string }
    registration_tokens: RegistrationTokensTable
    uia_sessions: UiaSessionsTable
    short_lived_tokens: ShortLivedTokensTable

    devices: DevicesTable
    access_tokens: AccessTokensTable
    one_time_keys: OneTimeKeysTable
    fallback_keys: {
      user_id: UserId
      device_id: string
      algorithm: string
      key_id: string
      key: string
      used: number
    }
    cross_signing_keys: { user_id: UserId; usage: CrossSigningUsage; key: string }
    key_backups: KeyBackupsTable
    key_backup_sessions: KeyBackupSessionsTable
    key_signatures: { signer: UserId; user_id: UserId; target: string; signatures: string }

    device_messages: DeviceMessagesTable
    to_device_transactions: { user_id: UserId; device_id: string; txn_id: string; created_at: number }
    received_device_messages: { origin: ServerName; message_id: string; received_at: number }
    outgoing_device_messages: {
      id: Generated<number>
      destination: ServerName
      content: string
      created_at: number
    }

    server_keys: ServerKeysTable
    notary_responses: { server_name: ServerName; key_id: string; response: string; valid_until: number }
    destinations: DestinationsTable
    sender_leases: { destination: ServerName; holder: string; until: number }
    received_transactions: { origin: ServerName; txn_id: string; response: string; received_at: number }

    local_device_lists: { user_id: UserId; stream_id: number }
    outgoing_device_updates: OutgoingDeviceUpdatesTable
    device_lists: DeviceListsTable
    device_list_snapshots: DeviceListSnapshotsTable
    device_list_waiters: { requester: UserId; user_id: UserId; asked_at: number; waiting: number }
    device_list_changes: { position: number; user_id: UserId }
    device_list_notices: { position: number; requester: UserId; user_id: UserId }
    device_list_servers: { server_name: ServerName; suspected_at: number }
    device_list_counts: StaleCount
    device_list_history: DeviceListHistoryTable
  }

export type NotificationsTable = {
  user_id: UserId
  /** The event's. */
  position: number
  room_id: RoomId
  event_id: EventId
  /** The root of the event's thread, or `main`. */
  thread_id: string
  highlight: number
  unread: number
  actions: string
  created_at: number
}

export type CrossSigningUsage = 'master' | 'self_signing' | 'user_signing'

export type UsersTable = {
  user_id: UserId
  password_hash: string | null
  is_admin: number
  is_guest: number
  created_at: number
  deactivated_at: number | null
  /** 1 if they asked for what they wrote to be forgotten. */
  erased: Generated<number>
  /** 1 if an admin keeps them from using it, or from doing anything that others see. */
  locked: Generated<number>
  suspended: Generated<number>
}

type RegistrationTokensTable = {
  token: string
  uses_allowed: number | null
  uses: number
  expires_at: number | null
  makes_admin: number
}

export type UiaSessionsTable = {
  session_id: string
  /** What the session is for: method and path, and the user if there is one. It is good for nothing else. */
  purpose: string
  completed: string
  state: string
  created_at: number
}

export type ShortLivedTokenPurpose = 'shared secret registration' | 'login' | 'openid'

type ShortLivedTokensTable = {
  token_hash: string
  purpose: ShortLivedTokenPurpose
  user_id: UserId | null
  expires_at: number
}

export type AccessTokensTable = {
  token_hash: string
  user_id: UserId
  device_id: string
  created_at: number
  /** `null`: it does not expire. */
  expires_at: number | null
  /** The refresh token that renews it. */
  refresh_hash: string | null
  /** The token that this one replaces as soon as it is used. */
  replaces: string | null
}

export type KeyBackupsTable = {
  user_id: UserId
  version: number
  algorithm: string
  auth_data: string
  /** Raised by every change of the keys. */
  etag: number
  deleted: number
}

export type KeyBackupSessionsTable = {
  user_id: UserId
  version: number
  room_id: string
  session_id: string
  first_message_index: number
  forwarded_count: number
  is_verified: number
  session_data: string
}

export type DevicesTable = {
  user_id: UserId
  device_id: string
  display_name: string | null
  /** `DeviceKeys` as uploaded, with the user's own signatures merged in; `null` before the first upload. */
  device_keys: string | null
  last_seen_ip: string | null
  last_seen_at: number | null
  last_seen_user_agent: string | null
  created_at: number
}

type OneTimeKeysTable = {
  user_id: UserId
  device_id: string
  algorithm: string
  key_id: string
  /** Upload order: the lowest is given out first. */
  ordinal: number
  key: string
}

type DeviceMessagesTable = {
  id: Generated<number>
  position: number
  user_id: UserId
  device_id: string
  message: string
}

export type ServerKeysTable = {
  server_name: ServerName
  key_id: string
  public_key: string
  /** Until when the key may be trusted (epoch ms); for an old one, until when it was used. */
  valid_until: number
  is_old: number
  fetched_at: number
}

export type DestinationsTable = {
  server_name: ServerName
  /** Failures in a row; 0 while the destination answers. */
  failures: number
  failing_since: number | null
  /** Before this no request goes out on our own account; `null` while the destination answers. */
  next_attempt_at: number | null
  /** Before this nothing at all goes out: the destination asked for it. */
  retry_after_until: number | null
  last_error: string | null
  last_success_at: number | null
  last_heard_at: number | null
}

export type OutgoingDeviceUpdatesTable = {
  id: Generated<number>
  destination: ServerName
  user_id: UserId
  /** A device ID for `m.device_list_update`; the empty string for `m.signing_key_update`. */
  device_id: string
  stream_id: number
  /** The stream ID that the destination has if it has everything before this; names `prev_id`. */
  prev_stream_id: number
}

export type DeviceListsTable = {
  user_id: UserId
  server_name: ServerName
  /** Raised by every doubt. */
  wanted_gen: number
  /** The generation of the last snapshot applied; the list is right while both are equal and a room is shared. */
  synced_gen: number
  /** 1 while a room is shared. */
  tracked: number
  stream_id: number | null
  digest: string | null
  /** How many devices the snapshot has. */
  devices: number | null
  synced_at: number | null
  /** Why the oldest doubt that still stands was raised, and when. */
  reason: string | null
  doubted_at: number | null
  /** Failures in a row since the doubt. */
  attempts: number
  /** Counts every attempt that ended, whatever its end: tells a waiting request that its answer is there. */
  attempts_ended: number
  next_attempt_at: number
  lease_until: number | null
  lease_gen: number | null
  /** JSON of a `FetchFailure`. */
  last_error: string | null
  /** 1 while the last attempt was refused for this user (403, 404): its wait outlasts the destination's return. */
  refused: number
  /** When the list is to be compared with the remote's next, while a room is shared. */
  audit_at: Generated<number>
  /** When the list was last known to be the owner's own. */
  confirmed_at: Generated<number | null>
}

type DeviceListHistoryTable = {
  id: Generated<number>
  user_id: UserId
  at: number
  event: TransitionEvent
  detail: string | null
}

/** What a list can go through. */
export type TransitionEvent = 'doubted' | 'failed' | 'fresh' | 'tracked' | 'untracked'

export type DeviceListSnapshotsTable = {
  user_id: UserId
  /** JSON object from device ID to `DeviceKeys`, as `/keys/query` answers it. */
  device_keys: string
  /** JSON array of the IDs of the devices without keys. */
  keyless: string
  master_key: string | null
  self_signing_key: string | null
}
