import { isObject } from '../matrix/json.ts'

/**
 * What `event_fields` of a filter leave of an event. Client-server API, "Filtering"; appendices, "Dot-separated property
 * paths": a dot within a name is written `\.`, a backslash `\\`.
 */
export function pickFields(event: object, fields: readonly string[]): Record<string, unknown> {
  const picked: Record<string, unknown> = {}
  for (const field of fields.slice(0, MOST_FIELDS)) copy(event, picked, pathOf(field))
  return picked
}

/** More than an event has that anybody would choose from. */
const MOST_FIELDS = 100

function pathOf(field: string): string[] {
  const names = ['']
  for (let at = 0; at < field.length; at++) {
    const char = field[at]!
    const next = field[at + 1]
    if (char === '\\' && (next === '.' || next === '\\')) names.push(names.pop()! + field[++at]!)
    else if (char === '.') names.push('')
    else names.push(names.pop()! + char)
  }
  return names
}

function copy(from: unknown, to: Record<string, unknown>, path: readonly string[]): void {
  const [name, ...rest] = path
  if (!isObject(from) || !Object.hasOwn(from, name!)) return
  const value = from[name!]
  // Whatever a member is called, it becomes one of the copy's own.
  const set = (member: unknown) =>
    Object.defineProperty(to, name!, { value: member, enumerable: true, configurable: true, writable: true })
  if (rest.length === 0) {
    set(value)
    return
  }
  if (!isObject(value)) return
  const below = Object.hasOwn(to, name!) && isObject(to[name!]) ? (to[name!] as Record<string, unknown>) : {}
  // A member that was copied whole has all of this already.
  if (below === value) return
  copy(value, below, rest)
  if (Object.keys(below).length > 0) set(below)
}
