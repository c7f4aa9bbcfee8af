import { parseHttpDate } from './http-date.ts'
import { isObject } from './json.ts'

/** No wait that a server asks for is taken longer than this (ms). */
export const LONGEST_WAIT_MS = 24 * 3_600_000

/**
 * How long a server asks us to wait: the larger of its `Retry-After` header (seconds or an HTTP date) and
 * `retry_after_ms` of its body, at most a day. Client-server API, "Rate limiting".
 * @param headers names in lower case
 * @param body the parsed body
 * @param now epoch ms, for the date form
 * @returns milliseconds, `undefined` if it does not say
 */
export function parseRetryAfter(headers: Record<string, string>, body: unknown, now: number): number | undefined {
  const waits = [fromHeader(headers['retry-after'], now), fromBody(body)].filter((wait) => wait !== undefined)
  return waits.length === 0 ? undefined : Math.min(LONGEST_WAIT_MS, Math.max(0, ...waits))
}

function fromHeader(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined
  // Whole seconds are all that the standard has, but some servers write fractions.
  if (/^[0-9]{1,15}(\.[0-9]{1,15})?$/.test(value.trim())) return Math.ceil(Number(value) * 1000)
  const date = parseHttpDate(value)
  return date === undefined ? undefined : date - now
}

function fromBody(body: unknown): number | undefined {
  const wait = isObject(body) ? body.retry_after_ms : undefined
  return typeof wait === 'number' && Number.isFinite(wait) ? Math.ceil(wait) : undefined
}
