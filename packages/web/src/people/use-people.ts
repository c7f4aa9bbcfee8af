import { useEffect, useState } from 'react'
import { followDeviceLists } from '../api/live.ts'
import type { Session } from '../api/session.ts'
import { type People, withNews } from './people.ts'

/** The lists of everybody with whom an encrypted room is shared, as they are now; `undefined` until they are here. */
export function usePeople(session: Session): { people: People | undefined; connected: boolean } {
  const [people, setPeople] = useState<People>()
  const [connected, setConnected] = useState(true)
  useEffect(() => {
    const gone = new AbortController()
    const listener = {
      onNews: (news: Parameters<typeof withNews>[1], isAll: boolean) =>
        setPeople((known) => withNews(known ?? new Map(), news, isAll)),
      onConnected: setConnected,
    }
    void followDeviceLists(session, listener, gone.signal)
    return () => gone.abort()
  }, [session])
  return { people, connected }
}
