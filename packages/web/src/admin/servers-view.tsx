import { useMemo, useState } from 'react'
import type { Session } from '../api/session.ts'
import type { Destination, ListOverview } from '../api/types.ts'
import { Icon } from '../design/icons.tsx'
import { Coming, Lasting, Moment, useNow } from '../design/moment.tsx'
import { More } from '../design/more.tsx'
import { Scrolled } from '../design/scrolled.tsx'
import { counted } from '../design/words.ts'
import { type Breaker, breakerOf, countBy } from './figures.ts'
import { ADMIN, usePolled } from './use-polled.ts'

const PAGE = 100

const BREAKERS: Record<Breaker, { icon: 'good' | 'bad' | 'waiting'; words: string }> = {
  closed: { icon: 'good', words: 'Closed: it answers' },
  open: { icon: 'bad', words: 'Open: it fails' },
  limited: { icon: 'waiting', words: 'Waiting: it asked us to' },
}

/** Other servers: their breakers, and how many of their users' lists are stale. For admins. */
export function ServersView({ session }: { session: Session }) {
  const servers = usePolled<{ destinations: Destination[] }>(session, `${ADMIN}/destinations?limit=10000`)
  const stale = usePolled<{ lists: ListOverview[] }>(session, `${ADMIN}/device_lists?state=stale&limit=10000`)
  const [search, setSearch] = useState('')
  const [onlyFailing, setOnlyFailing] = useState(false)
  const [most, setMost] = useState(PAGE)
  const [outcome, setOutcome] = useState('')
  const now = useNow()

  const staleOf = useMemo(() => new Map(countBy(stale.answer?.lists ?? [], (list) => list.server)), [stale.answer])
  const all = servers.answer?.destinations ?? []
  const found = all.filter(
    (server) =>
      server.server.includes(search.trim().toLowerCase()) && !(onlyFailing && breakerOf(server, now) === 'closed'),
  )

  async function refresh(server: string): Promise<void> {
    setOutcome(`Asking for the lists of ${server} …`)
    try {
      const { lists } = await session.post<{ lists: number }>(`${ADMIN}/device_lists/refresh`, { server })
      setOutcome(`${counted(lists, 'list')} of ${server} will be fetched again.`)
      stale.again()
    } catch (error) {
      setOutcome(`The lists of ${server} cannot be refreshed: ${(error as Error).message}`)
    }
  }

  return (
    <>
      <div className="title">
        <h1>Servers</h1>
        <p>
          Homeservers that this one talks to. One that fails is probed by one request at a time; the lists of its users
          wait.
        </p>
      </div>
      <div className="tools">
        <label>
          Search servers
          <input type="search" value={search} onChange={(event) => setSearch(event.target.value)} />
        </label>
        <label className="check">
          <input type="checkbox" checked={onlyFailing} onChange={(event) => setOnlyFailing(event.target.checked)} />
          Only those that fail
        </label>
      </div>
      <p role="status" className="summary">
        {servers.problem ?? (outcome || `${found.length} of ${counted(all.length, 'server')}.`)}
      </p>
      <Scrolled label="Table of servers">
        <table>
          <caption className="hidden">Servers</caption>
          <thead>
            <tr>
              <th scope="col">Server</th>
              <th scope="col">Breaker</th>
              <th scope="col">Stale lists</th>
              <th scope="col">Last heard of</th>
              <th scope="col">Last failure</th>
              <th scope="col">Next try</th>
              <th scope="col">
                <span className="hidden">Refresh</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {found.slice(0, most).map((server) => (
              <ServerRow
                key={server.server}
                server={server}
                stale={staleOf.get(server.server) ?? 0}
                now={now}
                onRefresh={refresh}
              />
            ))}
          </tbody>
        </table>
      </Scrolled>
      {servers.answer && all.length === 0 && <p className="empty">This homeserver has not talked to any other yet.</p>}
      <More left={found.length - most} onMore={() => setMost(most + PAGE)} />
    </>
  )
}

type RowProps = { server: Destination; stale: number; now: number; onRefresh(server: string): void }

function ServerRow({ server, stale, now, onRefresh }: RowProps) {
  const breaker = breakerOf(server, now)
  const heard = Math.max(server.last_heard_at ?? 0, server.last_success_at ?? 0)
  const next = Math.max(server.next_attempt_at ?? 0, server.retry_after_until ?? 0)
  return (
    <tr>
      <th scope="row">{server.server}</th>
      <td>
        <span className={`badge ${breaker}`}>
          <Icon name={BREAKERS[breaker].icon} /> {BREAKERS[breaker].words}
        </span>
        {server.failing_since !== null && breaker !== 'closed' && (
          <p className="note">
            for <Lasting since={server.failing_since} />, {counted(server.failures, 'failure')}
          </p>
        )}
      </td>
      <td>{stale}</td>
      <td>{heard > 0 ? <Moment at={heard} /> : 'never'}</td>
      <td>{breaker === 'closed' ? '' : server.last_error}</td>
      <td>{breaker === 'closed' ? '' : <Coming at={next} />}</td>
      <td>
        <button type="button" aria-label={`Refresh lists of ${server.server}`} onClick={() => onRefresh(server.server)}>
          Refresh lists
        </button>
      </td>
    </tr>
  )
}
