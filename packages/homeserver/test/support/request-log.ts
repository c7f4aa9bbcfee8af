import { tryParseJson } from '../../src/matrix/json.ts'
import type { HttpRequest, NetworkFailure } from '../../src/platform/network.ts'

/** One request as the network saw it. */
export type SeenRequest = {
  from: string
  /** The server name that answers there, or the Host header where nobody does. */
  to: string
  method: HttpRequest['method']
  /** As it goes on the wire, with query. */
  path: string
  headers: Record<string, string>
  /** Parsed JSON; `undefined` without a body. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it freely.
  body: any
  /** When it began (epoch ms on the network's clock). */
  at: number
  /** The status of the answer, or why none came; `undefined` while it is under way. */
  outcome: number | NetworkFailure | 'bug' | undefined
  /** Places in the order of all beginnings and ends. */
  began: number
  ended: number | undefined
}

/** A text matches a path that begins with it. */
export type RequestFilter = { from?: string; to?: string; method?: HttpRequest['method']; path?: string | RegExp }

export type RequestLog = {
  begin(
    what: Pick<SeenRequest, 'from' | 'to' | 'method' | 'path' | 'at'>,
    request: Pick<HttpRequest, 'headers' | 'body'>,
  ): SeenRequest
  end(request: SeenRequest, outcome: SeenRequest['outcome']): void
  requests(filter?: RequestFilter): SeenRequest[]
  inFlight(): number
}

/** Keeps all requests that were made. */
export function createRequestLog(): RequestLog {
  const all: SeenRequest[] = []
  let order = 0
  let inFlight = 0
  return {
    begin(what, { headers, body }) {
      inFlight++
      const parsed = body === undefined ? undefined : tryParseJson(body)
      const seen = { ...what, headers, body: parsed, outcome: undefined, began: order++, ended: undefined }
      all.push(seen)
      return seen
    },
    end(request, outcome) {
      inFlight--
      request.outcome = outcome
      request.ended = order++
    },
    requests: (filter = {}) => all.filter((request) => matches(request, filter)),
    inFlight: () => inFlight,
  }
}

function matches(request: SeenRequest, { from, to, method, path }: RequestFilter): boolean {
  if (from !== undefined && request.from !== from) return false
  if (to !== undefined && request.to !== to) return false
  if (method !== undefined && request.method !== method) return false
  if (path === undefined) return true
  return typeof path === 'string' ? request.path.startsWith(path) : path.test(request.path)
}

/** How many of these requests were under way at the same time, at most. */
export function peakInFlight(requests: readonly SeenRequest[]): number {
  const steps = requests.flatMap(({ began, ended }) => [
    [began, 1] as const,
    [ended ?? Number.POSITIVE_INFINITY, -1] as const,
  ])
  let [now, peak] = [0, 0]
  for (const [, change] of steps.sort(([a], [b]) => a - b)) {
    now += change
    peak = Math.max(peak, now)
  }
  return peak
}
