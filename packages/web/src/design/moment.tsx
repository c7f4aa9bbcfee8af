import { createContext, type ReactNode, use, useEffect, useState } from 'react'
import { distanceInWords, lengthInWords } from './words.ts'

const Now = createContext(Date.now())

/** Lets time pass for whatever is inside, once a second. */
export function Clock({ children }: { children: ReactNode }) {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  return <Now value={now}>{children}</Now>
}

export const useNow = () => use(Now)

/** A moment to come (epoch ms), such as "in 12 seconds", or "now". */
export function Coming({ at }: { at: number }) {
  return at > useNow() + 1_000 ? <Moment at={at} /> : 'now'
}

/** For how long something has been so, since a moment (epoch ms). */
export function Lasting({ since }: { since: number }) {
  const date = new Date(since)
  return (
    <time dateTime={date.toISOString()} title={`since ${date.toLocaleString()}`}>
      {lengthInWords(Math.max(0, useNow() - since))}
    </time>
  )
}

/** A moment (epoch ms) by its distance from now; the exact time is in its title. */
export function Moment({ at }: { at: number }) {
  const date = new Date(at)
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {distanceInWords(at, useNow())}
    </time>
  )
}
