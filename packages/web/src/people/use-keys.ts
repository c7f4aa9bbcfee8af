import { useEffect, useRef, useState } from 'react'
import { ApiError } from '../api/homeserver.ts'
import { pause } from '../api/pause.ts'
import type { Session } from '../api/session.ts'
import type { DeviceList, KeysAnswer } from '../api/types.ts'
import { type PersonKeys, personKeys } from './trust.ts'

/** For how long the homeserver may ask others, where a list is in doubt (ms). */
const PATIENCE_MS = 1_000
/** People in one question; and how long to wait after one that was not answered (ms). */
const AT_ONCE = 50
const WAIT_MS = 5_000

/**
 * The keys of these people, by user ID. Those whose list has changed are asked for again, and nobody else, some at a time: news
 * that keep coming must not hold up what has been asked.
 */
export function useKeys(session: Session, lists: readonly DeviceList[]): ReadonlyMap<string, PersonKeys> {
  const [keys, setKeys] = useState<ReadonlyMap<string, PersonKeys>>(new Map())
  const [turn, setTurn] = useState(0)
  const read = useRef(new Map<string, string>())
  const gone = useRef<AbortController>(undefined)
  const isReading = useRef(false)

  useEffect(() => {
    const controller = new AbortController()
    gone.current = controller
    return () => controller.abort()
  }, [])

  // biome-ignore lint/correctness/useExhaustiveDependencies: another turn looks for what is left
  useEffect(() => {
    const { signal } = gone.current!
    const some = lists.filter((list) => read.current.get(list.user_id) !== versionOf(list)).slice(0, AT_ONCE)
    if (isReading.current || some.length === 0) return
    isReading.current = true
    readKeys(session, some, signal)
      .then((found) => {
        for (const list of some) read.current.set(list.user_id, versionOf(list))
        setKeys((known) => new Map([...known, ...found]))
      })
      // What was known stays on the page, and is asked for again; the list's own state says what is wrong.
      .catch((error: unknown) =>
        pause(Math.max(WAIT_MS, (error instanceof ApiError && error.retryAfterMs) || 0), signal),
      )
      .finally(() => {
        isReading.current = false
        if (!signal.aborted) setTurn((count) => count + 1)
      })
  }, [session, lists, turn])
  return keys
}

async function readKeys(
  session: Session,
  lists: readonly DeviceList[],
  signal: AbortSignal,
): Promise<[userId: string, keys: PersonKeys][]> {
  const userIds = lists.map((list) => list.user_id)
  const device_keys = Object.fromEntries([...userIds, session.userId].map((userId) => [userId, []]))
  const body = { device_keys, timeout: PATIENCE_MS }
  const answer = await session.post<KeysAnswer>('/_matrix/client/v3/keys/query', body, signal)
  return Promise.all(
    userIds.map(
      async (userId): Promise<[string, PersonKeys]> => [userId, await personKeys(answer, userId, session.userId)],
    ),
  )
}

/** What a list is at: another text is another list. */
const versionOf = ({ stream_id, synced_at, devices, state }: DeviceList) =>
  JSON.stringify([stream_id, synced_at, devices, state === 'fresh'])
