import type { MatrixClient } from 'matrix-js-sdk'
import { createBudget, MOST_PER_MINUTE } from './budget.ts'
import { createDoubts } from './doubts.ts'
import {
  type RaiseDoubt,
  type RefreshOccasion,
  type Watcher,
  watchDirectRooms,
  watchGroupInvites,
  watchStaleLists,
} from './occasions.ts'
import type { RefreshOutcome } from './outcome.ts'
import { refreshDeviceList } from './refresh.ts'
import { createRefreshQueue } from './refresh-queue.ts'
import { beforeVerificationRequests } from './verification.ts'

/** Options of {@link watch}. */
export type WatchOpts = {
  /** Ask when an encrypted room of two is created. Defaults to `true`. */
  directRooms?: boolean
  /** Ask when an invite to a group room is processed: for who invites us, or is invited. Defaults to `true`. */
  groupInvites?: boolean
  /** Ask before a verification request goes out, which then waits for the list. Defaults to `true`. */
  verificationRequests?: boolean
  /** Ask when a list looks stale. Defaults to `true`. */
  staleLists?: boolean
  /** For how long each request waits for its list, in milliseconds. Defaults to 30 seconds. */
  timeoutMs?: number
  /** For how long at most a verification request is held back, in milliseconds. Defaults to 5 seconds. */
  verificationTimeoutMs?: number
  /** Requests in a minute; never more than the homeserver allows, less one for the person's own clicks. */
  maxPerMinute?: number
  /** Called after each request. */
  onRefresh?: (refresh: WatchedRefresh) => void
  /** Called with what goes wrong between us and the own homeserver, such as a `ConnectionError`. */
  onError?: (error: unknown) => void
}

/** A request that {@link watch} made, and what came of it. */
export type WatchedRefresh = { userId: string; occasion: RefreshOccasion; outcome: RefreshOutcome }

/**
 * Asks for device lists by itself, on the occasions that the options leave on: never for the same doubt twice, never
 * beyond the homeserver's limits, and never for users of the own homeserver, whose lists it knows anyway.
 *
 * @param client - with crypto (`initRustCrypto()` was called), started or not
 * @returns what stops it: requests under way are given up
 */
export function watch(client: MatrixClient, opts: WatchOpts = {}): () => void {
  const { onRefresh = () => {}, onError = () => {}, timeoutMs = 30_000, verificationTimeoutMs = 5_000 } = opts
  const doubts = createDoubts()
  const queue = createRefreshQueue({
    refresh: (userId, abortSignal) => refreshDeviceList(client, userId, { timeoutMs, abortSignal }),
    budget: createBudget(opts.maxPerMinute ?? MOST_PER_MINUTE),
    onRefresh,
    onError,
  })
  const isOurs = (userId: string) => userId.endsWith(`:${client.getDomain()}`)
  const raise: RaiseDoubt = (userId, occasion, doubt) => {
    if (!isOurs(userId) && doubts.isNew(doubt)) queue.add(userId, occasion)
  }

  const stops = watchersOf(opts).map((watcher) => watcher(client, raise, onError))
  if (opts.verificationRequests ?? true) {
    stops.push(
      beforeVerificationRequests(client, async (userId) => {
        if (!isOurs(userId)) await queue.addAndWait(userId, 'verificationRequest', verificationTimeoutMs)
      }),
    )
  }
  return () => {
    for (const stop of stops) stop()
    queue.stop()
  }
}

function watchersOf({ directRooms = true, groupInvites = true, staleLists = true }: WatchOpts): Watcher[] {
  return [
    ...(directRooms ? [watchDirectRooms] : []),
    ...(groupInvites ? [watchGroupInvites] : []),
    ...(staleLists ? [watchStaleLists] : []),
  ]
}
