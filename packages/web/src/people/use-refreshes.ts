import { useCallback, useEffect, useRef, useState } from 'react'
import { ApiError } from '../api/homeserver.ts'
import { pause } from '../api/pause.ts'
import type { Session } from '../api/session.ts'
import type { DeviceList } from '../api/types.ts'
import type { People } from './people.ts'

/** What became of asking for a list again; `retryAt` in epoch milliseconds. */
export type Refresh =
  | { phase: 'asking' | 'arrived' }
  | { phase: 'waiting'; after: Fetched }
  | { phase: 'failed'; after: Fetched; message: string; retryAt: number | undefined; retryScheduled: boolean }

/** When the list was last fetched: what arrives later is news. */
type Fetched = number | null | undefined

export type Refreshes = {
  of(userId: string): Refresh | undefined
  refresh(userId: string): Promise<void>
  /** Asks for many, one after the other, as fast as the homeserver allows. */
  refreshAll(userIds: readonly string[]): void
  /** How many of them are done, while there are any. */
  progress: { done: number; all: number } | undefined
}

const pathOf = (userId: string) =>
  `/_matrix/client/unstable/org.matrix.msc2638/user/${encodeURIComponent(userId)}/devices/refresh`

/** Asks the homeserver to fetch lists again (MSC2638), and notices when they arrive. */
export function useRefreshes(session: Session, people: People | undefined): Refreshes {
  const [known, setKnown] = useState<ReadonlyMap<string, Refresh>>(new Map())
  const [progress, setProgress] = useState<Refreshes['progress']>()
  const set = useCallback((userId: string, refresh: Refresh) => {
    setKnown((before) => new Map(before).set(userId, refresh))
  }, [])
  const gone = useRef(new AbortController())
  useEffect(() => {
    gone.current = new AbortController()
    return () => gone.current.abort()
  }, [])

  // What was asked for comes by the stream, also long after it was asked for.
  useEffect(() => {
    for (const [userId, refresh] of known) {
      if (refresh.phase !== 'waiting' && !(refresh.phase === 'failed' && refresh.retryScheduled)) continue
      const list = people?.get(userId)
      if (list?.state === 'fresh' && list.synced_at !== refresh.after) set(userId, { phase: 'arrived' })
      if (list?.state === 'failing' && refresh.phase === 'waiting') {
        const [message, retryAt] = [
          list.last_error ?? 'The list could not be fetched',
          list.next_attempt_at ?? undefined,
        ]
        set(userId, { phase: 'failed', after: refresh.after, message, retryAt, retryScheduled: true })
      }
    }
  }, [people, known, set])

  const latest = useRef(people)
  latest.current = people

  const ask = useCallback(
    async (userId: string): Promise<ApiError | undefined> => {
      const { signal } = gone.current
      const after = latest.current?.get(userId)?.synced_at
      set(userId, { phase: 'asking' })
      try {
        await session.post(pathOf(userId), {}, signal)
        const { state } = await session.get<DeviceList>(pathOf(userId), signal)
        set(userId, state === 'fresh' ? { phase: 'arrived' } : { phase: 'waiting', after })
        return undefined
      } catch (error) {
        if (signal.aborted) return undefined
        const failure = error instanceof ApiError ? error : new ApiError(0, { error: 'Something went wrong' })
        const { message, retryAfterMs, retryScheduled } = failure
        const retryAt = retryAfterMs === undefined ? undefined : Date.now() + retryAfterMs
        set(userId, { phase: 'failed', after, message, retryAt, retryScheduled })
        return failure
      }
    },
    [session, set],
  )

  const refreshAll = useCallback(
    async (userIds: readonly string[]) => {
      const { signal } = gone.current
      for (const [done, userId] of userIds.entries()) {
        setProgress({ done, all: userIds.length })
        for (;;) {
          const failure = await ask(userId)
          if (signal.aborted) return
          // Our own homeserver's limits end soon; what others ask for is kept in mind by the homeserver.
          const isOurs = failure?.errcode === 'M_LIMIT_EXCEEDED' && !failure.retryScheduled
          if (!isOurs || failure.retryAfterMs === undefined) break
          await pause(failure.retryAfterMs, signal)
          if (signal.aborted) return
        }
      }
      setProgress(undefined)
    },
    [ask],
  )

  return {
    of: (userId) => known.get(userId),
    refresh: async (userId) => void (await ask(userId)),
    refreshAll: (userIds) => void refreshAll(userIds),
    progress,
  }
}
