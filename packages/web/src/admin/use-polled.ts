import { useCallback, useEffect, useState } from 'react'
import type { Session } from '../api/session.ts'

/** Where the operator API is. */
export const ADMIN = '/_evergreen/admin/v1'

/** Operators' figures are asked for again this often (ms), while the page is looked at. */
const EVERY_MS = 10_000

/** What a path of the operator API answers, kept up to date; `again` asks at once. */
export function usePolled<Answer>(
  session: Session,
  path: string,
): { answer: Answer | undefined; problem: string | undefined; again(): void } {
  const [answer, setAnswer] = useState<Answer>()
  const [problem, setProblem] = useState<string>()
  const [asked, setAsked] = useState(0)
  // `asked` has it run again.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  useEffect(() => {
    const gone = new AbortController()
    const look = () => {
      if (document.hidden) return
      session.get<Answer>(path, gone.signal).then(
        (found) => {
          setAnswer(found)
          setProblem(undefined)
        },
        (error: Error) => gone.signal.aborted || setProblem(error.message),
      )
    }
    look()
    const timer = setInterval(look, EVERY_MS)
    document.addEventListener('visibilitychange', look)
    return () => {
      gone.abort()
      clearInterval(timer)
      document.removeEventListener('visibilitychange', look)
    }
  }, [session, path, asked])
  return { answer, problem, again: useCallback(() => setAsked((count) => count + 1), []) }
}
