import { useDeferredValue, useId, useMemo, useState } from 'react'
import type { Session } from '../api/session.ts'
import { More } from '../design/more.tsx'
import { counted } from '../design/words.ts'
import { type Order, shown, signsOfStaleness } from './people.ts'
import { Person } from './person.tsx'
import { useKeys } from './use-keys.ts'
import { usePeople } from './use-people.ts'
import { useRefreshes } from './use-refreshes.ts'

/** People on the page at first, and more with each click. */
const PAGE = 50

/** Everybody with whom an encrypted room is shared, and how the homeserver's copies of their device lists stand. */
export function PeopleView({ session }: { session: Session }) {
  const { people, connected } = usePeople(session)
  const [search, setSearch] = useState('')
  const [order, setOrder] = useState<Order>('state')
  const [most, setMost] = useState(PAGE)
  const deferred = useDeferredValue(search)
  const found = useMemo(() => shown(people ?? new Map(), deferred, order), [people, deferred, order])
  const visible = found.slice(0, most)
  const keys = useKeys(session, visible)
  const refreshes = useRefreshes(session, people)
  const explanation = useId()

  const stale = [...(people?.values() ?? [])].filter(
    (list) => signsOfStaleness(list, keys.get(list.user_id)).length > 0,
  )
  const { progress } = refreshes
  return (
    <>
      <div className="title">
        <h1>People</h1>
        <p>
          The people you share encrypted rooms with. Messages are encrypted for the devices that your homeserver knows
          of: if its copy of somebody’s list is old, they cannot read what you write.
        </p>
      </div>
      <div className="tools">
        <label>
          Search people
          <input type="search" value={search} onChange={(event) => setSearch(event.target.value)} />
        </label>
        <label>
          Sort by
          <select value={order} onChange={(event) => setOrder(event.target.value as Order)}>
            <option value="state">State</option>
            <option value="name">Name</option>
            <option value="age">Oldest list</option>
          </select>
        </label>
        <button
          type="button"
          disabled={stale.length === 0 || progress !== undefined}
          onClick={() => refreshes.refreshAll(stale.map((list) => list.user_id))}
        >
          Refresh all that look stale
        </button>
      </div>
      <p role="status" className="summary">
        {!connected && 'The homeserver cannot be reached; what you see may be old. '}
        {progress && `Asking: ${progress.done} of ${progress.all}. `}
        {people && !progress && summary(people.size, stale.length, found.length, deferred)}
      </p>
      {people?.size === 0 && (
        <p className="empty">
          Nobody yet. Once you are in an encrypted room with somebody, in any Matrix client, they stand here by
          themselves.
        </p>
      )}
      <ul className="people" aria-label="People" aria-busy={people === undefined}>
        {visible.map((list) => (
          <Person
            key={list.user_id}
            list={list}
            keys={keys.get(list.user_id)}
            refresh={refreshes.of(list.user_id)}
            onRefresh={refreshes.refresh}
            explanation={explanation}
          />
        ))}
      </ul>
      <More left={found.length - most} onMore={() => setMost(most + PAGE)} />
      <details className="fine" id={explanation}>
        <summary>What the marks mean</summary>
        <p>
          “Signed” devices carry a signature of their owner’s own key: somebody who controls the account has confirmed
          them. “Verified by you” means that you have compared keys with this person in one of your clients.{' '}
          {[...keys.values()].every(({ checked }) => checked)
            ? 'This page has checked the signatures in your browser.'
            : 'Your browser cannot check signatures, so this page only sees that they are there.'}{' '}
          The keys themselves come from your homeserver; your client’s own verification is the one to rely on.
        </p>
      </details>
    </>
  )
}

function summary(all: number, stale: number, found: number, search: string): string {
  const people = counted(all, 'person', 'people')
  const state = stale === 0 ? 'All lists are up to date.' : `${counted(stale, 'list looks', 'lists look')} stale.`
  return search.trim() === '' ? `${people}. ${state}` : `${found} of ${people}. ${state}`
}
