import { isObject } from './json.ts'

/** Chooses events of rooms; its shape is checked where it comes in. Client-server API, "Filtering", `RoomEventFilter`. */
export type RoomEventFilter = {
  limit?: number
  types?: readonly string[]
  not_types?: readonly string[]
  senders?: readonly string[]
  not_senders?: readonly string[]
  rooms?: readonly string[]
  not_rooms?: readonly string[]
  contains_url?: boolean
  lazy_load_members?: boolean
  include_redundant_members?: boolean
  /** Events that others relate to: with one of these types, or from one of these users. */
  related_by_rel_types?: readonly string[]
  related_by_senders?: readonly string[]
}

type Candidate = { type: string; sender: string; roomId: string; content: unknown }

/** Whether a filter lets an event through, as far as the event itself says it (`related_by_…` is left to a query). */
export function passesFilter(filter: RoomEventFilter, { type, sender, roomId, content }: Candidate): boolean {
  const { contains_url: containsUrl } = filter
  return (
    passesList(type, filter.types, filter.not_types, matchesGlob) &&
    passesList(sender, filter.senders, filter.not_senders) &&
    passesList(roomId, filter.rooms, filter.not_rooms) &&
    (containsUrl === undefined || containsUrl === (isObject(content) && typeof content.url === 'string'))
  )
}

const isSame = (wanted: string, value: string) => wanted === value

function passesList(
  value: string,
  wanted: readonly string[] | undefined,
  unwanted: readonly string[] | undefined,
  matches: (pattern: string, value: string) => boolean = isSame,
): boolean {
  if (unwanted?.some((pattern) => matches(pattern, value))) return false
  return wanted === undefined || wanted.some((pattern) => matches(pattern, value))
}

/** `*` stands for any characters. By parts, in time linear in the text for every part: patterns come from outside. */
export function matchesGlob(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return pattern === text
  if (!text.startsWith(first)) return false
  const last = rest.pop()!
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}
