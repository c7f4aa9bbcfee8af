import type { FederationAnswer } from '../matrix/federation.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import { NetworkError } from '../platform/network.ts'

/** Makes the request; `again`: the one before hangs. */
type Ask = (again: boolean, signal: AbortSignal) => Promise<FederationAnswer>

type Limits = { timeoutMs: number; patienceMs: number; isPressed: () => boolean }

export type Flights = {
  /**
   * Makes a request that may hang. The oldest that is under way at a server is made once more, beside the first, when it has hung
   * for a part of its time, or when the server shows that it is there: so that a server that has come back is noticed before
   * the request that it has forgotten runs out. The first answer counts.
   * @param limits for how long the request may hang (ms), and for how long where others wait for it to end
   */
  fly(serverName: ServerName, limits: Limits, ask: Ask): Promise<FederationAnswer>
  /** Breaks all requests off. */
  stop(): void
  /** The server has spoken. */
  nudge(serverName: ServerName): void
}

type Flight = { newestAt: number; again(): void; end(reason?: NetworkError): void }

/** A request is made again after this part of its time, and after twice this part. */
const PART = 0.4
/** Word from a server says that a request has hung which is older than this (ms). */
const HUNG_MS = 1_000
/** An answer to another request says so of one that is older than this: some servers are slow. */
const SLOW_MS = 5_000
/** Whether others wait is looked at this often once patience is over (ms). */
const PRESSED_EVERY_MS = 500

export function createFlights(clock: Clock): Flights {
  const underWay = new Map<ServerName, Set<Flight>>()

  function oldest(serverName: ServerName): Flight | undefined {
    return underWay.get(serverName)?.values().next().value
  }

  function askOldestAgain(serverName: ServerName, olderThanMs: number): void {
    const flight = oldest(serverName)
    if (flight && Math.abs(clock.now() - flight.newestAt) >= olderThanMs) flight.again()
  }

  return {
    nudge: (serverName) => askOldestAgain(serverName, HUNG_MS),
    stop() {
      for (const flights of underWay.values()) for (const flight of flights) flight.end()
    },
    async fly(serverName, { timeoutMs, patienceMs, isPressed }, ask) {
      const { promise, resolve, reject } = Promise.withResolvers<FederationAnswer>()
      const first = new AbortController()
      let second: AbortController | undefined
      const flight: Flight = {
        newestAt: clock.now(),
        again() {
          // One beside the first at most: a later one takes the place of the one before.
          second?.abort()
          second = new AbortController()
          flight.newestAt = clock.now()
          ask(true, second.signal).then((answer) => {
            const asked = answer.kind === 'answer' || !['aborted', 'backed_off', 'limited'].includes(answer.failure)
            if (asked) resolve(answer)
          }, reject)
        },
        end(reason) {
          first.abort(reason)
          second?.abort(reason)
        },
      }
      const flights = underWay.get(serverName) ?? new Set()
      underWay.set(serverName, flights.add(flight))
      const timers = [PART, 2 * PART].map((part) =>
        clock.after(timeoutMs * part, () => {
          if (oldest(serverName) === flight) flight.again()
        }),
      )
      const endIfPressed = () => {
        if (isPressed()) flight.end(new NetworkError('timeout', 'no answer yet, and others wait'))
        else cancelPressed = clock.after(PRESSED_EVERY_MS, endIfPressed)
      }
      let cancelPressed = clock.after(patienceMs, endIfPressed)
      ask(false, first.signal).then(resolve, reject)
      try {
        const answer = await promise
        flights.delete(flight)
        if (answer.kind === 'answer' && answer.status < 500) askOldestAgain(serverName, SLOW_MS)
        return answer
      } finally {
        for (const cancel of [...timers, cancelPressed]) cancel()
        flights.delete(flight)
        if (flights.size === 0 && underWay.get(serverName) === flights) underWay.delete(serverName)
        // Whichever of the two is still under way is of no use any more.
        if (second) flight.end()
      }
    },
  }
}
