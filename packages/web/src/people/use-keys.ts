import { useEffect, useState } from 'react'
import type { Session } from '../api/session.ts'
import type { DeviceList, KeysAnswer } from '../api/types.ts'
import { type PersonKeys, personKeys } from './trust.ts'

/** For how long the homeserver may ask others, where a list is in doubt (ms). */
const PATIENCE_MS = 1_000

/** The keys of these people, by user ID, asked for again whenever one of their lists has changed. */
export function useKeys(session: Session, lists: readonly DeviceList[]): ReadonlyMap<string, PersonKeys> {
  const [keys, setKeys] = useState<ReadonlyMap<string, PersonKeys>>(new Map())
  // What a list is at: another text is another list.
  const asked = JSON.stringify(
    lists.map((list) => [list.user_id, list.stream_id, list.synced_at, list.devices, list.state === 'fresh']).sort(),
  )
  useEffect(() => {
    const userIds = (JSON.parse(asked) as [string][]).map(([userId]) => userId)
    if (userIds.length === 0) return
    const gone = new AbortController()
    const device_keys = Object.fromEntries([...userIds, session.userId].map((userId) => [userId, []]))
    session
      .post<KeysAnswer>('/_matrix/client/v3/keys/query', { device_keys, timeout: PATIENCE_MS }, gone.signal)
      .then(async (answer) => {
        const entries = userIds.map(
          async (userId) => [userId, await personKeys(answer, userId, session.userId)] as const,
        )
        const found = await Promise.all(entries)
        if (!gone.signal.aborted) setKeys((known) => new Map([...known, ...found]))
      })
      // What was known stays on the page; the list's own state says what is wrong.
      .catch(() => {})
    return () => gone.abort()
  }, [session, asked])
  return keys
}
