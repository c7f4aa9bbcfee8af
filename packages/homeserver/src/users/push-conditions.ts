import { isObject } from '../matrix/json.ts'
import { compileGlob, type Effort, type Glob, literalGlob, matchesWhole, matchesWords } from './push-glob.ts'

/** An event as push rules look at it, in the form that clients are shown. */
export type PushEvent = {
  type: string
  sender: string
  content: unknown
  room_id: string
  event_id: string
  /** Of a state event only. */
  state_key?: string
}

/** What push rules ask beside the event. */
export type PushFacts = {
  /** The rules' owner, as they are called in the room. */
  displayName: string | undefined
  /** How many users are joined to the room. */
  memberCount: number
  senderPowerLevel: number
  /** The level needed to notify by a key of `notifications` in the power levels. */
  notificationLevel(key: string): number
}

/** An event, its texts folded once for all rules of all users. */
export type LookedAt = {
  /** A property by its path; `undefined` if it is not there. */
  property(path: readonly string[]): unknown
  /** A property that is a text, in lower case. */
  text(path: readonly string[]): string | undefined
}

/** Whether a condition holds. */
export type Test = (event: LookedAt, facts: PushFacts, effort: Effort) => boolean

const never: Test = () => false

export function lookAt(event: PushEvent): LookedAt {
  const texts = new Map<unknown, string>()
  const property = (path: readonly string[]): unknown => {
    let value: unknown = event
    for (const name of path) {
      if (!isObject(value) || !Object.hasOwn(value, name)) return undefined
      value = value[name]
    }
    return value
  }
  return {
    property,
    text(path) {
      const value = property(path)
      if (typeof value !== 'string') return undefined
      const folded = texts.get(value) ?? value.toLowerCase()
      texts.set(value, folded)
      return folded
    },
  }
}

/** Reads a condition of a rule. One that is malformed, or unknown, never holds. Client-server API, "Conditions". */
export function compileCondition(condition: object): Test {
  const { kind, key, pattern, value, is } = condition as Record<string, unknown>
  switch (kind) {
    case 'event_match':
      return typeof key === 'string' && typeof pattern === 'string' ? eventMatch(key, compileGlob(pattern)) : never
    case 'event_property_is':
      return typeof key === 'string' && isSimple(value) ? propertyIs(pathOf(key), value) : never
    case 'event_property_contains':
      return typeof key === 'string' && isSimple(value) ? propertyContains(pathOf(key), value) : never
    case 'contains_display_name':
      return containsDisplayName
    case 'room_member_count':
      return typeof is === 'string' ? memberCount(is) : never
    case 'sender_notification_permission':
      if (typeof key !== 'string') return never
      return (_event, facts) => facts.senderPowerLevel >= facts.notificationLevel(key)
    default:
      return never
  }
}

const BODY = ['content', 'body']

/** Of the body, whole words; of everything else, all of it. */
export function eventMatch(key: string, glob: Glob): Test {
  const path = pathOf(key)
  const matches = path.length === 2 && path[0] === BODY[0] && path[1] === BODY[1] ? matchesWords : matchesWhole
  return (event, _facts, effort) => {
    const text = event.text(path)
    return text !== undefined && matches(glob, text, effort)
  }
}

function propertyIs(path: readonly string[], value: unknown): Test {
  return (event) => event.property(path) === value
}

function propertyContains(path: readonly string[], value: unknown): Test {
  return (event) => {
    const list = event.property(path)
    return Array.isArray(list) && list.includes(value)
  }
}

const containsDisplayName: Test = (event, { displayName }, effort) => {
  const body = event.text(BODY)
  if (body === undefined || !displayName) return false
  // Not a pattern: its stars are stars.
  return matchesWords(literalGlob(displayName), body, effort)
}

function memberCount(is: string): Test {
  const match = /^(==|<=|>=|<|>)?([0-9]{1,15})$/.exec(is)
  if (!match) return never
  const [, sign = '==', digits] = match
  const count = Number(digits)
  return (_event, { memberCount: members }) => {
    if (sign === '<') return members < count
    if (sign === '>') return members > count
    if (sign === '<=') return members <= count
    if (sign === '>=') return members >= count
    return members === count
  }
}

/** A string, an integer, a boolean or null. */
function isSimple(value: unknown): boolean {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value)
}

/**
 * Takes a path apart at its dots; a dot or backslash of a name is behind a backslash. Appendices, "Dot-separated property
 * paths".
 */
export function pathOf(key: string): string[] {
  const names: string[] = []
  let name = ''
  for (let i = 0; i < key.length; i++) {
    const next = key[i + 1]
    if (key[i] === '.') {
      names.push(name)
      name = ''
    } else if (key[i] === '\\' && (next === '.' || next === '\\')) {
      name += next
      i++
    } else name += key[i]
  }
  return [...names, name]
}
