import type { RoomId } from '../matrix/ids.ts'
import { type Clock, sleep } from '../platform/clock.ts'
import { createRounds } from '../platform/semaphore.ts'
import type { Store } from '../storage/store.ts'
import { buildSync, createSyncMemory, type Question, type SyncMemory, type SyncResponse } from './build.ts'
import { newsIn } from './news.ts'
import { createPace } from './pace.ts'
import type { Device, SyncSources } from './ports.ts'

type SyncRequest = Question & {
  /** Milliseconds to wait for news at most. */
  timeoutMs: number
  /** Ends the wait: the client is gone, or the server stops. */
  signal: AbortSignal
}

export type Sync = (device: Device, request: SyncRequest) => Promise<SyncResponse>

/**
 * Thousands may be woken by the same event. So many of them are read for at a time: who is first is answered first, others get their
 * turn between, and memory does not hold thousands of answers half made.
 */
const READ_AT_ONCE = 16

/**
 * `GET /sync`: what has happened since a token, waiting for something to happen if nothing has.
 * Client-server API, "Syncing".
 */
export function createSync(store: Store, clock: Clock, sources: SyncSources): Sync {
  const memory = createSyncMemory(store)
  const rounds = createRounds(READ_AT_ONCE)
  const pace = createPace(clock)

  return async (device, request) => {
    const { since } = request
    // One ahead of the stream says nothing of what the device has.
    if (since && since.position <= (await store.position())) await sources.acknowledgeToDevice(device, since.toDevice)
    const deadline = clock.now() + request.timeoutMs
    const watch = watchFor(store, clock, memory, device)
    const read = async () => {
      // Subscribed before reading, so that nothing falls between.
      const woken = await watch.next()
      return { woken, response: await buildSync(store, sources, memory, device, request) }
    }
    let keysAtFirst: string | undefined
    try {
      for (;;) {
        const { woken, response } = await (keysAtFirst === undefined ? read() : rounds.run(read))
        const keys = JSON.stringify([response.device_one_time_keys_count, response.device_unused_fallback_key_types])
        keysAtFirst ??= keys
        const atOnce = !since || request.fullState || keys !== keysAtFirst
        const news = newsIn(response)
        const restsUntil = pace.restOf(device, news)
        const isTold = atOnce || (news !== 'none' && restsUntil === undefined)
        if (isTold || clock.now() >= deadline || request.signal.aborted) {
          pace.told(device, news)
          return response
        }
        if (restsUntil === undefined) await woken.until(deadline, request.signal)
        else await sleep(clock, Math.min(restsUntil, deadline) - clock.now(), request.signal)
        // Nothing is read any more once the server stops; what is new comes with the next sync.
        if (request.signal.aborted) return response
      }
    } finally {
      watch.end()
    }
  }
}

/** Resolves when somebody has woken us since, at the time (epoch ms) or when the signal ends the wait. */
type Woken = { until(deadline: number, signal: AbortSignal): Promise<void> }

/** Waits for what wakes a user: what is their own, and what happens in the rooms that they are in. */
function watchFor({ notifier }: Store, clock: Clock, { joinedRooms }: SyncMemory, { userId }: Device) {
  let wake = () => {}
  let watched: ReadonlySet<RoomId> = new Set()
  const listener = () => wake()
  const endings = new Map<string, () => void>([[userId, notifier.subscribe(userId, listener)]])
  return {
    /** From now on the promise is resolved by whatever happens. */
    async next(): Promise<Woken> {
      const { promise, resolve } = Promise.withResolvers<void>()
      wake = resolve
      const rooms = await joinedRooms(userId)
      if (rooms !== watched) {
        for (const roomId of watched.difference(rooms)) endings.get(roomId)?.()
        for (const roomId of rooms.difference(watched)) endings.set(roomId, notifier.subscribe(roomId, listener))
        watched = rooms
      }
      return {
        async until(deadline, signal) {
          const cancel = clock.after(deadline - clock.now(), resolve)
          const onAbort = () => resolve()
          signal.addEventListener('abort', onAbort, { once: true })
          await promise
          cancel()
          signal.removeEventListener('abort', onAbort)
        },
      }
    },
    end() {
      for (const end of endings.values()) end()
    },
  }
}
