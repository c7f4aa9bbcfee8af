import type { UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../storage/store.ts'
import { filterEvents, type SyncFilter } from './filter.ts'
import { formatToken, type SyncToken } from './token.ts'

type SyncEvent = { type: string; content: unknown }

/** What sync shows of the other features. Positions are those of the stream; `after` is left out, `upTo` is in. */
export type SyncSources = {
  accountData(userId: UserId, after: number, upTo: number): Promise<SyncEvent[]>
  deviceLists(userId: UserId, after: number, upTo: number): Promise<{ changed: UserId[]; left: UserId[] }>
  keyCounts(userId: UserId, deviceId: string): Promise<KeyCounts>
  /** At most 100 messages in order; `position` is the place up to which they were handed out. */
  toDevice(device: Device, after: number, upTo: number): Promise<{ events: unknown[]; position: number }>
  /** The device has come back with a token that covers these messages: they are done with. */
  acknowledgeToDevice(device: Device, upTo: number): Promise<void>
}

/** One-time keys left by algorithm, and algorithms whose fallback key has not been used. */
type KeyCounts = { oneTimeKeys: Record<string, number>; unusedFallbackKeyTypes: string[] }

type Device = { userId: UserId; deviceId: string }

type SyncRequest = {
  since: SyncToken | undefined
  /** Milliseconds to wait for news at most. */
  timeoutMs: number
  fullState: boolean
  filter: SyncFilter
  /** Ends the wait: the client is gone, or the server stops. */
  signal: AbortSignal
}

type SyncResponse = {
  next_batch: string
  account_data: { events: SyncEvent[] }
  to_device: { events: unknown[] }
  /** Of an incremental sync only. */
  device_lists?: { changed: UserId[]; left: UserId[] }
  device_one_time_keys_count: Record<string, number>
  device_unused_fallback_key_types: string[]
  rooms: { join: object; invite: object; knock: object; leave: object }
}

export type Sync = (device: Device, request: SyncRequest) => Promise<SyncResponse>

/**
 * `GET /sync`: what has happened since a token, waiting for something to happen if nothing has. Everything shown is
 * read up to one position, so nothing is skipped and the same `since` brings the same news again.
 * Client-server API, "Syncing".
 */
export function createSync(store: Store, clock: Clock, sources: SyncSources): Sync {
  async function build(device: Device, request: SyncRequest): Promise<SyncResponse> {
    const { since, filter } = request
    const position = await store.position()
    // A token ahead of the stream is from a database that was restored: everything may have changed.
    const known = since && since.position <= position ? since : { position: 0, toDevice: 0 }
    const { userId, deviceId } = device
    const [accountData, deviceLists, keys, messages] = await Promise.all([
      sources.accountData(userId, known.position, position),
      since && sources.deviceLists(userId, known.position, position),
      sources.keyCounts(userId, deviceId),
      sources.toDevice(device, known.toDevice, position),
    ])
    return {
      next_batch: formatToken({ position, toDevice: messages.position }),
      account_data: { events: filterEvents(accountData, filter.account_data) },
      to_device: { events: messages.events },
      ...(deviceLists && { device_lists: deviceLists }),
      device_one_time_keys_count: keys.oneTimeKeys,
      device_unused_fallback_key_types: keys.unusedFallbackKeyTypes,
      rooms: { join: {}, invite: {}, knock: {}, leave: {} },
    }
  }

  return async (device, request) => {
    const { since } = request
    // One ahead of the stream says nothing of what the device has.
    if (since && since.position <= (await store.position())) await sources.acknowledgeToDevice(device, since.toDevice)
    const deadline = clock.now() + request.timeoutMs
    let keysAtFirst: string | undefined
    for (;;) {
      // Subscribed before reading, so that nothing falls between.
      const woken = Promise.withResolvers<void>()
      const unsubscribe = store.notifier.subscribe(device.userId, woken.resolve)
      const cancel = clock.after(deadline - clock.now(), woken.resolve)
      request.signal.addEventListener('abort', woken.resolve as () => void, { once: true })
      try {
        const response = await build(device, request)
        const keys = JSON.stringify([response.device_one_time_keys_count, response.device_unused_fallback_key_types])
        keysAtFirst ??= keys
        const atOnce = !request.since || request.fullState || keys !== keysAtFirst
        if (atOnce || hasNews(response) || clock.now() >= deadline || request.signal.aborted) return response
        await woken.promise
        // Nothing is read any more once the server stops; what is new comes with the next sync.
        if (request.signal.aborted) return response
      } finally {
        unsubscribe()
        cancel()
        request.signal.removeEventListener('abort', woken.resolve as () => void)
      }
    }
  }
}

function hasNews({ account_data, to_device, device_lists }: SyncResponse): boolean {
  return (
    account_data.events.length > 0 ||
    to_device.events.length > 0 ||
    (device_lists !== undefined && device_lists.changed.length + device_lists.left.length > 0)
  )
}
