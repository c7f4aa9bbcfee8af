import { isObject } from '../matrix/json.ts'

/** The part of a filter that chooses events by type. Client-server API, "Filtering", `EventFilter`. */
export type EventFilter = { types?: string[]; not_types?: string[]; limit?: number }

/** What `/sync` reads of a filter so far. */
export type SyncFilter = { account_data?: EventFilter }

/** The filter in a parsed definition, whose shape was checked where it came in; without one, nothing is filtered. */
export function syncFilter(definition: unknown): SyncFilter {
  return isObject(definition) ? (definition as SyncFilter) : {}
}

/** The events that a filter lets through. `*` in a type stands for any characters; `not_types` wins. */
export function filterEvents<T extends { type: string }>(events: T[], filter: EventFilter | undefined): T[] {
  if (!filter) return events
  const { types, not_types: notTypes, limit } = filter
  const passing = events.filter(
    ({ type }) =>
      (types === undefined || types.some((pattern) => matches(pattern, type))) &&
      !notTypes?.some((pattern) => matches(pattern, type)),
  )
  return limit === undefined ? passing : passing.slice(0, Math.max(0, limit))
}

/** Glob by parts, in time linear in the type's length for every part: patterns come from outside. */
function matches(pattern: string, type: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return pattern === type
  if (!type.startsWith(first)) return false
  const last = rest.pop()!
  let at = first.length
  for (const part of rest) {
    const found = type.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return type.length - last.length >= at && type.endsWith(last)
}
