import { useMemo, useState } from 'react'
import type { Session } from '../api/session.ts'
import type { ListOverview, StaleCount } from '../api/types.ts'
import { StateBadge } from '../design/icons.tsx'
import { Coming, Lasting } from '../design/moment.tsx'
import { More } from '../design/more.tsx'
import { Scrolled } from '../design/scrolled.tsx'
import { counted } from '../design/words.ts'
import { Bars } from './bars.tsx'
import { ageNames, countBy, linesOf, reasonOf } from './figures.ts'
import { Plot } from './plot.tsx'
import { ADMIN, usePolled } from './use-polled.ts'

const PAGE = 100
const PERIODS = [
  ['The last day', 24 * 3_600_000],
  ['The last week', 7 * 24 * 3_600_000],
  ['The last two weeks', 14 * 24 * 3_600_000],
] as const

type Counts = { counts: StaleCount[]; age_bounds: number[] }

/** Stale lists by reason and age, now and over time, and each of them. For admins. */
export function StaleListsView({ session }: { session: Session }) {
  const { answer, problem, again } = usePolled<{ lists: ListOverview[] }>(
    session,
    `${ADMIN}/device_lists?state=stale&limit=10000`,
  )
  const [outcome, setOutcome] = useState('')
  const [most, setMost] = useState(PAGE)
  const lists = answer?.lists ?? []

  async function refreshAll(): Promise<void> {
    setOutcome('Asking …')
    try {
      const { lists: count } = await session.post<{ lists: number }>(`${ADMIN}/device_lists/refresh`, { stale: true })
      setOutcome(`${counted(count, 'list')} will be fetched again.`)
      again()
    } catch (error) {
      setOutcome((error as Error).message)
    }
  }

  return (
    <>
      <div className="title">
        <h1>Stale lists</h1>
        <p>Lists of other servers’ users about which there is a doubt that no fetch has settled yet.</p>
      </div>
      <div className="tools">
        <FindUser />
        <button type="button" onClick={refreshAll} disabled={lists.length === 0}>
          Refresh all stale lists
        </button>
      </div>
      <p role="status" className="summary">
        {problem ?? (outcome || (answer && `${counted(lists.length, 'list is', 'lists are')} stale.`))}
      </p>
      <OverTime session={session} />
      {lists.length > 0 && (
        <div className="columns">
          <Bars title="By reason, now" of="Reason" counts={countBy(lists, reasonOf)} />
          <Bars title="By server, now" of="Server" counts={countBy(lists, (list) => list.server).slice(0, 10)} />
        </div>
      )}
      <Scrolled label="Table of stale lists">
        <table>
          <caption className="hidden">Stale lists, the oldest doubt first</caption>
          <thead>
            <tr>
              <th scope="col">User</th>
              <th scope="col">State</th>
              <th scope="col">Reason</th>
              <th scope="col">For</th>
              <th scope="col">Last error</th>
              <th scope="col">Next try</th>
            </tr>
          </thead>
          <tbody>
            {lists.slice(0, most).map((list) => (
              <tr key={list.userId}>
                <th scope="row">
                  <a href={`#lists/${encodeURIComponent(list.userId)}`}>{list.userId}</a>
                </th>
                <td>
                  <StateBadge state={list.state} />
                </td>
                <td>{reasonOf(list)}</td>
                <td>{list.doubtedAt !== null && <Lasting since={list.doubtedAt} />}</td>
                <td>{list.lastError}</td>
                <td>{list.nextAttemptAt === null ? 'when somebody needs it' : <Coming at={list.nextAttemptAt} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolled>
      <More left={lists.length - most} onMore={() => setMost(most + PAGE)} />
    </>
  )
}

function FindUser() {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        const userId = String(new FormData(event.currentTarget).get('user')).trim()
        if (userId !== '') location.hash = `lists/${encodeURIComponent(userId)}`
      }}
    >
      <label>
        What happened to the list of
        <input name="user" placeholder="@bob:example.org" autoCapitalize="none" spellCheck={false} />
      </label>
      <button type="submit" className="quiet">
        Show
      </button>
    </form>
  )
}

function OverTime({ session }: { session: Session }) {
  const [length, setLength] = useState<number>(PERIODS[0][1])
  // Anew with the period alone, so that the path stays the same.
  const since = useMemo(() => Date.now() - length, [length])
  const { answer } = usePolled<Counts>(session, `${ADMIN}/device_list_counts?since=${since}`)
  const names = ageNames(answer?.age_bounds ?? [])
  return (
    <section aria-label="Over time">
      <div className="tools">
        <label>
          Show
          <select value={length} onChange={(event) => setLength(Number(event.target.value))}>
            {PERIODS.map(([name, ms]) => (
              <option key={ms} value={ms}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {answer && (
        <div className="columns">
          <Plot title="Stale lists by reason" lines={linesOf(answer.counts, reasonOf)} />
          <Plot title="Stale lists by age of the doubt" lines={linesOf(answer.counts, ({ age }) => names[age] ?? '')} />
        </div>
      )}
    </section>
  )
}
