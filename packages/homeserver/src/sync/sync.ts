import type { RoomId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../storage/store.ts'
import { buildSync, createSyncMemory, type Question, type SyncMemory, type SyncResponse } from './build.ts'
import type { Device, SyncSources } from './ports.ts'

type SyncRequest = Question & {
  /** Milliseconds to wait for news at most. */
  timeoutMs: number
  /** Ends the wait: the client is gone, or the server stops. */
  signal: AbortSignal
}

export type Sync = (device: Device, request: SyncRequest) => Promise<SyncResponse>

/**
 * `GET /sync`: what has happened since a token, waiting for something to happen if nothing has.
 * Client-server API, "Syncing".
 */
export function createSync(store: Store, clock: Clock, sources: SyncSources): Sync {
  const memory = createSyncMemory(store)

  return async (device, request) => {
    const { since } = request
    // One ahead of the stream says nothing of what the device has.
    if (since && since.position <= (await store.position())) await sources.acknowledgeToDevice(device, since.toDevice)
    const deadline = clock.now() + request.timeoutMs
    const watch = watchFor(store, memory, device)
    let keysAtFirst: string | undefined
    try {
      for (;;) {
        // Subscribed before reading, so that nothing falls between.
        const woken = await watch.next()
        const cancel = clock.after(deadline - clock.now(), woken.resolve)
        request.signal.addEventListener('abort', woken.resolve, { once: true })
        try {
          const response = await buildSync(store, sources, memory, device, request)
          const keys = JSON.stringify([response.device_one_time_keys_count, response.device_unused_fallback_key_types])
          keysAtFirst ??= keys
          const atOnce = !since || request.fullState || keys !== keysAtFirst
          if (atOnce || hasNews(response) || clock.now() >= deadline || request.signal.aborted) return response
          await woken.promise
          // Nothing is read any more once the server stops; what is new comes with the next sync.
          if (request.signal.aborted) return response
        } finally {
          cancel()
          request.signal.removeEventListener('abort', woken.resolve)
        }
      }
    } finally {
      watch.end()
    }
  }
}

type Woken = { promise: Promise<void>; resolve: () => void }

/** Waits for what wakes a user: what is their own, and what happens in the rooms that they are in. */
function watchFor({ notifier }: Store, { joinedRooms }: SyncMemory, { userId }: Device) {
  let current: Woken | undefined
  let watched: ReadonlySet<RoomId> = new Set()
  const wake = () => current?.resolve()
  const endings = new Map<string, () => void>([[userId, notifier.subscribe(userId, wake)]])
  return {
    /** From now on the promise is resolved by whatever happens. */
    async next(): Promise<Woken> {
      const { promise, resolve } = Promise.withResolvers<void>()
      current = { promise, resolve: () => resolve() }
      const rooms = await joinedRooms(userId)
      if (rooms !== watched) {
        for (const roomId of watched.difference(rooms)) endings.get(roomId)?.()
        for (const roomId of rooms.difference(watched)) endings.set(roomId, notifier.subscribe(roomId, wake))
        watched = rooms
      }
      return current
    },
    end() {
      for (const end of endings.values()) end()
    },
  }
}

function hasNews({ account_data, presence, to_device, device_lists, rooms }: SyncResponse): boolean {
  return (
    account_data.events.length > 0 ||
    presence.events.length > 0 ||
    to_device.events.length > 0 ||
    (device_lists !== undefined && device_lists.changed.length + device_lists.left.length > 0) ||
    Object.values(rooms).some((section) => Object.keys(section).length > 0)
  )
}
