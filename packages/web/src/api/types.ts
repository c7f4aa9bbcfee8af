/** How the homeserver's copy of somebody's device list stands; times in epoch milliseconds. */
export type DeviceListState = 'fresh' | 'pending' | 'failing' | 'untracked'

/** As `GET /_evergreen/client/v1/device_lists` tells it. */
export type DeviceList = {
  user_id: string
  display_name: string | null
  state: DeviceListState
  synced_at: number | null
  stream_id: number | null
  devices: number | null
  last_error: string | null
  attempts: number | null
  next_attempt_at: number | null
  /** When the doubt came up that still stands. */
  stale_since: number | null
}

export type DeviceListNews = { lists: DeviceList[]; removed: string[] }

type Signatures = Record<string, Record<string, string>>

/** Keys with the signatures of whoever vouches for them. */
export type CrossSigningKey = { user_id: string; keys: Record<string, string>; signatures?: Signatures }
export type DeviceKeys = {
  user_id: string
  device_id: string
  keys: Record<string, string>
  signatures?: Signatures
  unsigned?: { device_display_name?: string }
}

/** The answer of `POST /keys/query`, as far as it is looked at. */
export type KeysAnswer = {
  device_keys?: Record<string, Record<string, DeviceKeys>>
  master_keys?: Record<string, CrossSigningKey>
  self_signing_keys?: Record<string, CrossSigningKey>
  user_signing_keys?: Record<string, CrossSigningKey>
}

/** As the operator API tells them; times in epoch milliseconds. */
export type ListOverview = {
  userId: string
  server: string
  state: DeviceListState
  reason: string | null
  doubtedAt: number | null
  syncedAt: number | null
  attempts: number
  nextAttemptAt: number | null
  lastError: string | null
  devices: number | null
  auditAt: number | null
  confirmedAt: number | null
}

type Transition = { at: number; event: string; detail: string | null }
export type ListHistory = ListOverview & { history: Transition[] }

export type Destination = {
  server: string
  failures: number
  failing_since: number | null
  next_attempt_at: number | null
  retry_after_until: number | null
  last_error: string | null
  last_success_at: number | null
  last_heard_at: number | null
}

/** So many lists were stale at a moment; `age` is the number of bounds that the doubt had passed. */
export type StaleCount = { at: number; reason: string; age: number; count: number }
