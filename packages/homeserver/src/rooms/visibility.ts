import { type RoomEvent, stateEntry } from '../matrix/events.ts'
import { type EventId, isUserId, type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import { redactEvent } from '../state/redaction.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { erasedAmong } from '../storage/accounts.ts'
import type { EventRow } from '../storage/events.ts'
import type { Membership } from '../storage/room-tables.ts'
import type { Db } from '../storage/store.ts'
import { eventOf } from './events.ts'
import {
  HISTORY_VISIBILITY,
  type HistoryVisibility,
  historyVisibilityOf,
  type Moment,
  maySee,
} from './history-visibility.ts'
import type { RoomParts } from './ports.ts'
import type { Viewer } from './viewers.ts'

const MEMBER = 'm.room.member'

/** An event that a viewer may see, as far as they may see it. */
export type SeenEvent = {
  row: EventRow
  event: RoomEvent
  version: RoomVersion
  /** The viewer's membership at the event, what the event itself changes included. */
  membership: Membership
  /** Whether the viewer was in the room before the event. */
  wasJoined: boolean
  /** The state event that this one replaced. */
  replaces: EventId | undefined
}

type Parts = Pick<RoomParts, 'events' | 'states' | 'versions' | 'serverName'>

/**
 * Which of these events a viewer may see, in the order given, of however many rooms: by the state at each event, which is
 * read for all of them at once. Messages of ignored users are left out, and what erased users wrote is shown redacted to
 * whoever was not there. Client-server API, "Room History Visibility", "Ignoring Users", "Account deactivation".
 * @param rows accepted events that have a place in the graph; others are not seen
 */
export async function seenEvents(
  parts: Parts,
  db: Db,
  viewer: Viewer,
  rows: readonly EventRow[],
): Promise<SeenEvent[]> {
  const shown = rows.filter((row) => row.status === 'accepted' && row.position !== null && !isIgnored(viewer, row))
  const versions = await parts.versions.load(
    db,
    shown.map((row) => row.room_id),
  )
  const states = await parts.states.pick(db, decisiveEntries(shown, viewer.userId))
  const contents = await contentsOf(parts, db, versions, shown, states, stateEntry(MEMBER, viewer.userId))
  const seen: SeenEvent[] = []
  for (const row of shown) {
    const version = versions.get(row.room_id)
    const one = version && look(viewer, row, version, (entry) => statesOf(row, states)?.get(entry), contents)
    if (one) seen.push(one)
  }
  return hideErased(parts, db, seen)
}

const isIgnored = (viewer: Viewer, row: EventRow) => row.state_key === null && viewer.ignored.has(row.sender)

const VISIBILITY_ENTRY = stateEntry(HISTORY_VISIBILITY, '')

/** What is looked up in the state before each event. */
function decisiveEntries(rows: readonly EventRow[], userId: UserId): Map<number, Set<string>> {
  const own = stateEntry(MEMBER, userId)
  const wanted = new Map<number, Set<string>>()
  for (const { state_before: group, type, state_key: stateKey } of rows) {
    if (group === null) continue
    const entries = wanted.get(group) ?? new Set([VISIBILITY_ENTRY, own])
    if (stateKey !== null) entries.add(stateEntry(type, stateKey))
    wanted.set(group, entries)
  }
  return wanted
}

type PickedStates = ReadonlyMap<number, ReadonlyMap<string, EventId>>

const statesOf = (row: EventRow, states: PickedStates) =>
  row.state_before === null ? undefined : states.get(row.state_before)

/** The contents of the state events that decide. */
async function contentsOf(
  { events }: Parts,
  db: Db,
  versions: ReadonlyMap<RoomId, RoomVersion>,
  rows: readonly EventRow[],
  states: PickedStates,
  own: string,
): Promise<Map<EventId, RoomEvent>> {
  const wanted = new Map<RoomVersion, Set<EventId>>()
  for (const row of rows) {
    const version = versions.get(row.room_id)
    if (!version) continue
    const ids = wanted.get(version) ?? new Set()
    wanted.set(version, ids)
    for (const entry of [VISIBILITY_ENTRY, own]) {
      const eventId = statesOf(row, states)?.get(entry)
      if (eventId !== undefined) ids.add(eventId)
    }
  }
  const found = new Map<EventId, RoomEvent>()
  for (const [version, ids] of wanted) {
    for (const [eventId, { event }] of await events.load(db, version, ids)) found.set(eventId, event)
  }
  return found
}

function look(
  viewer: Viewer,
  row: EventRow,
  version: RoomVersion,
  stateBefore: (entry: string) => EventId | undefined,
  contents: ReadonlyMap<EventId, RoomEvent>,
): SeenEvent | undefined {
  const contentAt = (entry: string) => contents.get(stateBefore(entry)!)?.content
  // Where we do not know what the room was like, nobody is let in but by having been there all the time.
  if (row.state_before === null && row.type !== 'm.room.create') return undefined
  const before: Moment = {
    visibility: historyVisibilityOf(contentAt(VISIBILITY_ENTRY)),
    membership: membershipOf(contentAt(stateEntry(MEMBER, viewer.userId))),
  }
  const event = eventOf(row, version)
  const after = momentAfter(viewer, event, before)
  const joinsLater = row.position! < (viewer.joinedUntil.get(row.room_id) ?? Number.NEGATIVE_INFINITY)
  if (!maySee(before, after, joinsLater)) return undefined
  return {
    row,
    event,
    version,
    membership: (after ?? before).membership,
    wasJoined: before.membership === 'join',
    replaces: row.state_key === null ? undefined : stateBefore(stateEntry(row.type, row.state_key)),
  }
}

function momentAfter(viewer: Viewer, event: RoomEvent, before: Moment): Moment | undefined {
  if (event.type === HISTORY_VISIBILITY && event.stateKey === '') {
    const visibility: HistoryVisibility = historyVisibilityOf(event.content)
    return { ...before, visibility }
  }
  if (event.type === MEMBER && event.stateKey === viewer.userId) {
    return { ...before, membership: membershipOf(event.content) }
  }
  return undefined
}

const membershipOf = (content: RoomEvent['content'] | undefined) =>
  typeof content?.membership === 'string' ? (content.membership as Membership) : 'leave'

/** What users wrote who had all of it erased is left to those who were there. */
async function hideErased({ serverName }: Parts, db: Db, seen: SeenEvent[]): Promise<SeenEvent[]> {
  const unsure = seen.filter(
    ({ event, membership }) =>
      membership !== 'join' && isUserId(event.sender) && serverNameOf(event.sender) === serverName,
  )
  if (unsure.length === 0) return seen
  const erased = await erasedAmong(db, [...new Set(unsure.map(({ event }) => event.sender))])
  if (erased.size === 0) return seen
  return seen.map((one) =>
    one.membership !== 'join' && erased.has(one.event.sender)
      ? { ...one, event: redactEvent(one.event, one.version) }
      : one,
  )
}
