const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** Used where the answer does not say, and as the bounds of what it may say. Server-server API, "Resolving server names". */
const DEFAULT_MS = 24 * HOUR
const LONGEST_MS = 48 * HOUR
const SHORTEST_MS = MINUTE
/** No delegation: looked for again after this time. */
const FAILURE_MS = HOUR

/**
 * How long an answer for `/.well-known/matrix/server` is used, in milliseconds.
 * @param headers names in lower case
 * @param valid whether the answer named a server
 * @param now epoch ms, for `Expires`
 */
export function wellKnownLifetime(headers: Record<string, string>, valid: boolean, now: number): number {
  if (!valid) return FAILURE_MS
  const control = headers['cache-control'] ?? ''
  if (/\bno-(store|cache)\b/i.test(control)) return SHORTEST_MS
  const maxAge = /\bmax-age\s*=\s*"?([0-9]{1,10})/i.exec(control)?.[1]
  // biome-ignore lint/style/noRestrictedGlobals: reads a date, not the time.
  const expires = Date.parse(headers.expires ?? '')
  const said = maxAge !== undefined ? Number(maxAge) * 1000 : Number.isNaN(expires) ? DEFAULT_MS : expires - now
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, said))
}
