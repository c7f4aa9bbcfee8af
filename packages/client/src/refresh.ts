import { HTTPError, type MatrixClient } from 'matrix-js-sdk'
import { type Arrival, listenForArrival } from './arrival.ts'
import { failureOf, type RefreshFailure, type RefreshOutcome, unsupported } from './outcome.ts'
import { type Patience, sleep, startPatience } from './patience.ts'
import { isUnrecognized, refreshRoutes, request } from './routes.ts'

/** Options of {@link refreshDeviceList}. */
export type RefreshDeviceListOpts = {
  /** For how long the caller waits, in milliseconds. Defaults to 30 seconds. */
  timeoutMs?: number
  /** Whoever waits no longer aborts this: the promise then rejects with the signal's reason. */
  abortSignal?: AbortSignal
  /**
   * Whether to go on after a failure that passes, for as long as the caller waits: by asking again after the wait that
   * came with `M_LIMIT_EXCEEDED`, and by waiting for the homeserver's own next try. Defaults to `false`.
   */
  keepTrying?: boolean
  /** Called with each failure after which it goes on. */
  onFailure?: (failure: RefreshFailure) => void
}

const DEFAULT_TIMEOUT_MS = 30_000

/**
 * Asks the homeserver to fetch a user's device list again (MSC2638), and waits until the list is here: until a sync has
 * brought the news and the crypto store has the keys.
 *
 * @param client - a client that syncs (`startClient()` was called); with sliding sync, arrivals are not noticed
 * @param userId - whose list
 * @returns what became of it. Whatever the endpoint may answer is an outcome and not thrown.
 * @throws the reason of `abortSignal`; and `ConnectionError` if the own homeserver cannot be reached
 */
export async function refreshDeviceList(
  client: MatrixClient,
  userId: string,
  opts: RefreshDeviceListOpts = {},
): Promise<RefreshOutcome> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, abortSignal, keepTrying = false, onFailure } = opts
  const patience = startPatience(timeoutMs, abortSignal)
  const arrival = listenForArrival(client, userId)
  try {
    for (;;) {
      const failure = await patience.spend((signal) => ask(client, userId, signal))
      if (failure === undefined) return { outcome: 'pending' }
      if (failure === 'accepted') return (await arrives(arrival, patience)) ?? { outcome: 'pending' }
      if (!keepTrying || !passes(failure, patience)) return failure
      onFailure?.(failure)
      if (failure.retryScheduled) return (await arrives(arrival, patience)) ?? failure
      await patience.spend((signal) => sleep(failure.retryAfterMs ?? 0, signal))
    }
  } finally {
    arrival.stop()
    patience.end()
  }
}

async function ask(client: MatrixClient, userId: string, signal: AbortSignal): Promise<'accepted' | RefreshFailure> {
  for (const route of await refreshRoutes(client, userId)) {
    try {
      await request(client, route, signal)
      return 'accepted'
    } catch (error) {
      if (isUnrecognized(error)) continue
      if (error instanceof HTTPError && error.httpStatus !== undefined) return failureOf(error)
      throw error
    }
  }
  return unsupported()
}

async function arrives(arrival: Arrival, patience: Patience): Promise<RefreshOutcome | undefined> {
  const devices = await patience.spend((signal) => arrival.wait(signal))
  return devices && { outcome: 'arrived', devices }
}

/** Whether waiting helps, and ends before the caller's patience does. */
function passes({ reason, retryScheduled, retryAfterMs }: RefreshFailure, patience: Patience): boolean {
  if (retryScheduled) return true
  return (
    (reason === 'limited' || reason === 'remoteLimited') && retryAfterMs !== null && retryAfterMs < patience.leftMs()
  )
}
