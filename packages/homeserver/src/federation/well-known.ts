import { parseHttpDate } from '../matrix/http-date.ts'
import { isServerName, type ServerName } from '../matrix/ids.ts'
import { isObject, tryParseJson } from '../matrix/json.ts'
import type { HttpResponse } from '../platform/network.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** Used where the answer does not say, and the bounds of what it may say. Server-server API, "Resolving server names". */
const DEFAULT_MS = 24 * HOUR
const LONGEST_MS = 48 * HOUR
const SHORTEST_MS = MINUTE
const LONGEST_ERROR_MS = HOUR

/** What is remembered of a host's `/.well-known/matrix/server`; times in epoch ms. */
export type Delegation = {
  /** `undefined`: the host delegates to nobody. */
  name: ServerName | undefined
  /** When this was last heard from the host itself. */
  heardAt: number
  until: number
  /** Times in a row that the host could not be asked. */
  failures: number
}

/**
 * What to remember after a host was asked. A host that cannot be asked keeps the delegation it had, as long as that may
 * be cached at all, and is asked again at growing intervals.
 * @param answer `undefined` if there was none
 * @param before what was remembered
 * @param now epoch ms
 */
export function delegationAfter(
  answer: HttpResponse | undefined,
  before: Delegation | undefined,
  now: number,
): Delegation {
  if (!answer || answer.status >= 500 || answer.status === 429) {
    const failures = (before?.failures ?? 0) + 1
    const still = before && now >= before.heardAt && now - before.heardAt < LONGEST_MS
    const until = now + Math.min(LONGEST_ERROR_MS, MINUTE * 2 ** Math.min(failures - 1, 10))
    return { name: still ? before.name : undefined, heardAt: still ? before.heardAt : now, until, failures }
  }
  const name = delegatedName(answer)
  const lifetime = cacheLifetime(answer.headers, now) ?? (name ? DEFAULT_MS : LONGEST_ERROR_MS)
  const longest = name ? LONGEST_MS : LONGEST_ERROR_MS
  return { name, heardAt: now, until: now + Math.min(longest, Math.max(SHORTEST_MS, lifetime)), failures: 0 }
}

/** The body is taken for JSON whatever its type says; anything but a server name is as good as no answer. */
function delegatedName({ status, body }: HttpResponse): ServerName | undefined {
  const parsed = status === 200 ? tryParseJson(body.toString('utf8')) : undefined
  const name = isObject(parsed) ? parsed['m.server'] : undefined
  return isServerName(name) ? name : undefined
}

/** How long the headers let an answer be used, in milliseconds; `undefined` if they do not say. */
function cacheLifetime(headers: Record<string, string>, now: number): number | undefined {
  const control = headers['cache-control'] ?? ''
  if (/\bno-(store|cache)\b/i.test(control)) return 0
  const maxAge = /\bmax-age\s*=\s*"?([0-9]{1,15})/i.exec(control)?.[1]
  if (maxAge !== undefined) return Number(maxAge) * 1000
  if (headers.expires === undefined) return undefined
  // A date that cannot be read lies in the past. RFC 9111, section 5.3.
  return (parseHttpDate(headers.expires) ?? now) - now
}
