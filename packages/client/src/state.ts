import type { MatrixClient } from 'matrix-js-sdk'
import { isUnrecognized, request, stateRoute } from './routes.ts'

/** How the homeserver's copy of a device list stands. What does not apply is `null`; times are epoch milliseconds. */
export type DeviceListState = {
  /** `pending`: in doubt, and being fetched; `failing`: a fetch has failed since; `untracked`: nobody of us needs it. */
  state: 'fresh' | 'pending' | 'failing' | 'untracked'
  syncedAt: number | null
  streamId: number | null
  /** How many devices the list has. */
  devices: number | null
  lastError: string | null
  /** Failed fetches since the doubt. */
  attempts: number | null
  nextAttemptAt: number | null
}

type WireState = {
  state: DeviceListState['state']
  synced_at: number | null
  stream_id: number | null
  devices: number | null
  last_error: string | null
  attempts: number | null
  next_attempt_at: number | null
}

/**
 * Asks the homeserver how its copy of a user's device list stands (an extension of Evergreen's).
 *
 * @returns `null` if the homeserver cannot tell
 * @throws `MatrixError` and `ConnectionError` as any request of the SDK
 */
export async function getDeviceListState(
  client: MatrixClient,
  userId: string,
  opts: { abortSignal?: AbortSignal } = {},
): Promise<DeviceListState | null> {
  const signal = opts.abortSignal ?? new AbortController().signal
  try {
    const wire = await request<WireState>(client, stateRoute(userId), signal)
    return {
      state: wire.state,
      syncedAt: wire.synced_at,
      streamId: wire.stream_id,
      devices: wire.devices,
      lastError: wire.last_error,
      attempts: wire.attempts,
      nextAttemptAt: wire.next_attempt_at,
    }
  } catch (error) {
    if (isUnrecognized(error)) return null
    throw error
  }
}
