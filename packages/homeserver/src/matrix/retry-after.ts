import { isObject } from './json.ts'

/** No wait that a server asks for is taken longer than this (ms). */
const MAX_WAIT_MS = 24 * 3_600_000

/**
 * How long a server asks us to wait: the larger of its `Retry-After` header (seconds or an HTTP date) and
 * `retry_after_ms` of its body, at most a day.
 * @param now epoch ms, for the date form
 * @returns milliseconds, `undefined` if it does not say
 */
export function retryAfterMs(headers: Record<string, string>, body: unknown, now: number): number | undefined {
  const waits = [fromHeader(headers['retry-after'], now), fromBody(body)].filter((wait) => wait !== undefined)
  return waits.length === 0 ? undefined : Math.min(MAX_WAIT_MS, Math.max(0, ...waits))
}

function fromHeader(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined
  const text = value.trim()
  if (/^[0-9]{1,15}$/.test(text)) return Number(text) * 1000
  // biome-ignore lint/style/noRestrictedGlobals: reads a date, not the time.
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : date - now
}

function fromBody(body: unknown): number | undefined {
  const wait = isObject(body) ? body.retry_after_ms : undefined
  return typeof wait === 'number' && Number.isFinite(wait) ? Math.ceil(wait) : undefined
}
