import { useState } from 'react'
import type { Session } from '../api/session.ts'
import type { ListHistory } from '../api/types.ts'
import { StateBadge } from '../design/icons.tsx'
import { Coming, Lasting, Moment } from '../design/moment.tsx'
import { reasonOf } from './figures.ts'
import { ADMIN, usePolled } from './use-polled.ts'

const EVENTS: Record<string, string> = {
  doubted: 'A doubt came up',
  failed: 'A fetch failed',
  fresh: 'The list was fetched',
  tracked: 'A room is shared',
  untracked: 'No room is shared any more',
}

/** One user's list and what it went through lately. For admins. */
export function ListHistoryView({ session, userId }: { session: Session; userId: string }) {
  const path = `${ADMIN}/device_lists/${encodeURIComponent(userId)}`
  const { answer, problem, again } = usePolled<ListHistory>(session, path)
  const [outcome, setOutcome] = useState('')

  async function refresh(): Promise<void> {
    setOutcome('Asking their server …')
    try {
      const { outcome: ended } = await session.post<{ outcome: string }>(`${path}/refresh`)
      setOutcome(ended === 'fresh' ? 'The list is up to date.' : `The fetch is ${ended}.`)
    } catch (error) {
      setOutcome((error as Error).message)
    }
    again()
  }

  return (
    <>
      <div className="title">
        <p>
          <a href="#lists">← Stale lists</a>
        </p>
        <h1>{userId}</h1>
      </div>
      <div className="tools">
        <button type="button" onClick={refresh}>
          Refresh this list
        </button>
      </div>
      <p role="status" className="summary">
        {outcome || (!answer && problem)}
      </p>
      {answer && (
        <>
          <dl className="facts">
            <Fact name="State">
              <StateBadge state={answer.state} />
            </Fact>
            {answer.reason !== null && <Fact name="Reason">{reasonOf(answer)}</Fact>}
            {answer.doubtedAt !== null && (
              <Fact name="In doubt for">
                <Lasting since={answer.doubtedAt} />
              </Fact>
            )}
            {answer.lastError !== null && <Fact name="Last error">{answer.lastError}</Fact>}
            <Fact name="Devices">{answer.devices ?? 'not known'}</Fact>
            <Fact name="Last fetched">{answer.syncedAt === null ? 'never' : <Moment at={answer.syncedAt} />}</Fact>
            {answer.nextAttemptAt !== null && (
              <Fact name="Next try">
                <Coming at={answer.nextAttemptAt} />
              </Fact>
            )}
            {answer.auditAt !== null && (
              <Fact name="Next audit">
                <Moment at={answer.auditAt} />
              </Fact>
            )}
          </dl>
          <h2>What happened</h2>
          <ol className="history" aria-label="History">
            {answer.history.map(({ at, event, detail }, place) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: counted from the oldest, which stays where it is
              <li key={`${at} ${event} ${answer.history.length - place}`} className={event}>
                <Moment at={at} />: {EVENTS[event] ?? event}
                {detail && <span className="detail"> ({detail})</span>}
              </li>
            ))}
          </ol>
        </>
      )}
    </>
  )
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
