/** A JSON value as `JSON.parse` gives it. */
export type Json = null | boolean | number | string | Json[] | JsonObject
export type JsonObject = { [key: string]: Json }

/** Whether `value` is a JSON object (no array, not null). */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What nests deeper is not taken from outside: whatever walks through it later would run out of stack. */
const MAX_NESTING = 100

/** Parses JSON that may be anything. @returns `undefined` if it is not JSON, or nests too deeply */
export function tryParseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return nestsTooDeeply(value) ? undefined : value
  } catch {
    return undefined
  }
}

/** Whether a value nests deeper than 100 objects and arrays. */
export function nestsTooDeeply(value: unknown): boolean {
  let level = [value].filter(isContainer)
  for (let depth = 0; depth < MAX_NESTING && level.length > 0; depth++) {
    const next: object[] = []
    for (const container of level)
      for (const member of Object.values(container)) if (isContainer(member)) next.push(member)
    level = next
  }
  return level.length > 0
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null

/** About how long a value is as text, for bounds: cheaper than writing it. It nests no deeper than what is taken from outside. */
export function roughSize(value: unknown): number {
  if (typeof value === 'string') return value.length + 2
  if (!isContainer(value)) return 5
  let size = 2
  for (const [key, member] of Object.entries(value)) size += key.length + 4 + roughSize(member)
  return size
}

/** Own members only, as pairs: safe for objects that came from outside. */
export function entriesOf(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : []
}

/**
 * The text that a request is signed by: canonical JSON, but with whatever numbers and texts it holds, since what canonical
 * JSON does not know is a fault of one event in it and not of the request.
 * @returns `undefined` where nesting is deeper than 1,000
 */
export function canonicalRequest(value: unknown): string | undefined {
  return canonicalOr(value, true)
}

/**
 * Canonical JSON: keys sorted by code point, no white space, UTF-8. Appendices, "Canonical JSON".
 * @returns `undefined` where a number is no integer or outside of ±(2^53 − 1), a text is no Unicode (half a surrogate pair), or
 * nesting is deeper than 200
 */
export function canonicalJson(value: unknown): string | undefined {
  return canonicalOr(value, false)
}

function canonicalOr(value: unknown, lenient: boolean): string | undefined {
  try {
    return canonical(value, 0, lenient)
  } catch (error) {
    if (error instanceof NotCanonical) return undefined
    throw error
  }
}

class NotCanonical extends Error {}
const MAX_DEPTH = 200
/** Of a request, of which one part may be bad and the rest good: what other servers' parsers take, and our stack bears. */
const MAX_REQUEST_DEPTH = 1_000

function canonical(value: unknown, depth: number, lenient: boolean): string {
  if (depth > (lenient ? MAX_REQUEST_DEPTH : MAX_DEPTH)) throw new NotCanonical('nested too deeply')
  if (typeof value === 'number') {
    if (!lenient && !Number.isSafeInteger(value)) throw new NotCanonical('a number that is no safe integer')
    return value === 0 ? '0' : String(value)
  }
  if (Array.isArray(value)) {
    const items: string[] = []
    for (const item of value) items.push(canonical(item, depth + 1, lenient))
    return `[${items.join(',')}]`
  }
  if (isObject(value)) {
    const members: string[] = []
    for (const key of sortedKeys(value)) {
      const member = value[key]
      if (member !== undefined) members.push(`${text(key, lenient)}:${canonical(member, depth + 1, lenient)}`)
    }
    return `{${members.join(',')}}`
  }
  if (value === undefined) throw new NotCanonical('undefined')
  return typeof value === 'string' ? text(value, lenient) : JSON.stringify(value)
}

function text(value: string, lenient: boolean): string {
  if (!lenient && !value.isWellFormed()) throw new NotCanonical('half a surrogate pair')
  return JSON.stringify(value)
}

/** Sorted by code point: UTF-16 order, which `sort` uses, differs from it only where surrogates occur. */
function sortedKeys(value: Record<string, unknown>): string[] {
  const keys = Object.keys(value)
  return keys.some((key) => /[\ud800-\udfff]/.test(key)) ? keys.sort(byCodePoint) : keys.sort()
}

function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'))
}
