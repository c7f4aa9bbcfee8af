import { type ReactNode, useCallback, useEffect, useState } from 'react'
import { ListHistoryView } from './admin/list-history-view.tsx'
import { ServersView } from './admin/servers-view.tsx'
import { StaleListsView } from './admin/stale-lists-view.tsx'
import { resume, type Session } from './api/session.ts'
import { Icon } from './design/icons.tsx'
import { Clock } from './design/moment.tsx'
import { PeopleView } from './people/people-view.tsx'
import { SignInView } from './sign-in-view.tsx'

/** The whole page: signing in, or what the place in the address shows. */
export function Page() {
  const [session, setSession] = useState<Session | 'unknown' | undefined>('unknown')
  const [notice, setNotice] = useState<string>()
  const end = useCallback((reason?: string) => {
    setNotice(reason)
    setSession(undefined)
  }, [])
  useEffect(() => {
    resume(end).then(setSession, (error: Error) => end(error.message))
  }, [end])

  if (session === 'unknown') return <main aria-busy="true" />
  if (!session) {
    const signedIn = (next: Session) => {
      setNotice(undefined)
      setSession(next)
    }
    return <SignInView notice={notice} onSignedIn={signedIn} onEnd={end} />
  }
  return (
    <Clock>
      <SignedIn session={session} onSignedOut={() => end()} />
    </Clock>
  )
}

function SignedIn({ session, onSignedOut }: { session: Session; onSignedOut: () => void }) {
  const place = usePlace()
  const [name, rest] = place.split(/\/(.*)/s) as [string, string?]
  const places: { name: string; title: string; view: ReactNode }[] = [
    { name: 'people', title: 'People', view: <PeopleView session={session} /> },
  ]
  if (session.isAdmin) {
    const userId = name === 'lists' && rest ? decoded(rest) : undefined
    const lists = userId ? (
      <ListHistoryView session={session} userId={userId} key={userId} />
    ) : (
      <StaleListsView session={session} />
    )
    places.push(
      { name: 'servers', title: 'Servers', view: <ServersView session={session} /> },
      { name: 'lists', title: 'Stale lists', view: lists },
    )
  }
  const here = places.find((one) => one.name === name) ?? places[0]!
  useEffect(() => {
    document.title = `${here.title} · Evergreen`
  }, [here.title])

  const signOut = () => session.signOut().then(onSignedOut, onSignedOut)
  return (
    <>
      <button type="button" className="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the content
      </button>
      <header className="top">
        <span className="brand">
          <Icon name="tree" /> Evergreen
        </span>
        <nav aria-label="Pages">
          {places.map((one) => (
            <a key={one.name} href={`#${one.name}`} aria-current={one === here ? 'page' : undefined}>
              {one.title}
            </a>
          ))}
        </nav>
        <span className="account">
          <span className="user-id">{session.userId}</span>
          <button type="button" className="quiet" onClick={signOut}>
            Sign out
          </button>
        </span>
      </header>
      <main id="main" tabIndex={-1}>
        {here.view}
      </main>
    </>
  )
}

/** An address that somebody has typed may be no good; it is then what it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What stands behind the `#` of the address. */
function usePlace(): string {
  const [place, setPlace] = useState(() => location.hash.slice(1))
  useEffect(() => {
    const follow = () => setPlace(location.hash.slice(1))
    window.addEventListener('hashchange', follow)
    return () => window.removeEventListener('hashchange', follow)
  }, [])
  return place
}
