import { serverNameOf, type UserId } from '../matrix/ids.ts'
import { createWorkerLoop } from '../platform/worker-loop.ts'
import { newestTransition, transitionsAfter } from '../storage/device-list-history.ts'
import * as overview from '../storage/device-list-overview.ts'
import { changedUsers } from '../storage/device-list-stream.ts'
import { inParts } from '../storage/parts.ts'
import type { EngineParts } from './ports.ts'
import { type ListStatus, statusOf, UNTRACKED } from './status.ts'

/** The state of one list as those who share an encrypted room with its owner see it. */
type WatchedList = ListStatus & { user_id: UserId; display_name: string | null; stale_since: number | null }

/** What is new to a watcher: lists that are in another state, and users with whom no encrypted room is shared any more. */
type WatchNews = { lists: WatchedList[]; removed: UserId[] }

export type Watch = {
  /** The lists of all with whom `userId` shares an encrypted room; our own users' are always fresh. */
  companyLists(userId: UserId): Promise<WatchedList[]>
  /**
   * All of `companyLists`, then what becomes new about them until the signal is aborted or the watcher may watch no longer. Who
   * shares a room is asked at each look, so that nobody sees more than at that moment. `undefined` says that nothing is new.
   * @param mayWatch asked at each look
   */
  watch(userId: UserId, signal: AbortSignal, mayWatch: () => Promise<boolean>): AsyncGenerator<WatchNews | undefined>
  /** Ends what runs for the watchers. */
  stopWatching(): Promise<void>
}

/** The steps that lists take are looked for this often (ms), while anybody watches. */
const LOOK_MS = 1_000
/** However quiet it is, everything is looked at again after this time (ms). */
const LOOK_AGAIN_MS = 10_000
/** Lists shown to one user. */
const MAX_SHOWN = 10_000
const CHUNK = 500

export function createWatch(parts: EngineParts): Watch {
  const { store, clock, log, sharedRooms, serverName } = parts
  /** Called with those whose lists have taken a step. */
  const watchers = new Set<(userIds: ReadonlySet<UserId>) => void>()
  let seen: { step: number; position: number } | undefined

  const loop = createWorkerLoop({
    clock,
    onError: (error) => log.error({ err: error }, 'looking for what happens to device lists failed'),
    async pass() {
      if (watchers.size === 0) {
        seen = undefined
        return { more: false, nextAt: null }
      }
      const position = await store.position()
      seen ??= { step: await newestTransition(store.db), position }
      const steps = await transitionsAfter(store.db, seen.step, CHUNK)
      // An update without a gap changes a list, and is no step from one state to another.
      const changed = position > seen.position ? await changedUsers(store.db, seen.position, position) : []
      seen = { step: steps.at(-1)?.id ?? seen.step, position }
      const userIds = new Set([...steps.map((step) => step.user_id), ...changed])
      if (userIds.size > 0) for (const watcher of [...watchers]) watcher(userIds)
      return { more: steps.length === CHUNK, nextAt: clock.now() + LOOK_MS }
    },
  })

  async function companyLists(userId: UserId): Promise<WatchedList[]> {
    const company = (await sharedRooms.inEncryptedRooms(store.db, userId)).slice(0, MAX_SHOWN)
    const lists: WatchedList[] = []
    for (const some of inParts(company, CHUNK)) {
      const rows = await overview.ledgerOverviews(
        store.db,
        some.map((one) => one.userId),
      )
      for (const { userId: one, displayName } of some) {
        const row = rows.get(one)
        const ours = serverNameOf(one) === serverName
        const state = row ? statusOf(row) : ours ? { ...UNTRACKED, state: 'fresh' as const, attempts: 0 } : UNTRACKED
        const staleSince = row && state.state !== 'fresh' ? row.doubted_at : null
        lists.push({ user_id: one, display_name: displayName, ...state, stale_since: staleSince })
      }
    }
    return lists
  }

  return {
    companyLists,
    stopWatching: loop.stop,
    async *watch(userId, signal, mayWatch) {
      const known = new Map<UserId, string>()
      let isFirst = true
      while (!signal.aborted && (await mayWatch())) {
        const woken = Promise.withResolvers<void>()
        const onSteps = (userIds: ReadonlySet<UserId>) => {
          if (!userIds.isDisjointFrom(known)) woken.resolve()
        }
        // Subscribed before reading, so that nothing falls between. What concerns the watcher's own rooms wakes their sync.
        watchers.add(onSteps)
        loop.start()
        const unsubscribe = store.notifier.subscribe(userId, woken.resolve)
        const cancel = clock.after(LOOK_AGAIN_MS, woken.resolve)
        const onAbort = () => woken.resolve()
        signal.addEventListener('abort', onAbort, { once: true })
        try {
          const news = newsOf(await companyLists(userId), known)
          yield isFirst || news.lists.length + news.removed.length > 0 ? news : undefined
          isFirst = false
          if (!signal.aborted) await woken.promise
        } finally {
          watchers.delete(onSteps)
          unsubscribe()
          cancel()
          signal.removeEventListener('abort', onAbort)
        }
      }
    },
  }
}

/** What differs from what is known, which becomes known. */
function newsOf(lists: readonly WatchedList[], known: Map<UserId, string>): WatchNews {
  const now = new Map(lists.map((list) => [list.user_id, JSON.stringify(list)]))
  const changed = lists.filter((list) => known.get(list.user_id) !== now.get(list.user_id))
  const removed = [...known.keys()].filter((userId) => !now.has(userId))
  for (const userId of removed) known.delete(userId)
  for (const [userId, text] of now) known.set(userId, text)
  return { lists: changed, removed }
}
