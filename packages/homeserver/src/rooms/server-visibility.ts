import { stateEntry } from '../matrix/events.ts'
import { type EventId, type RoomId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { redactEvent } from '../state/redaction.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { erasedAmong } from '../storage/accounts.ts'
import type { EventRow } from '../storage/events.ts'
import { membersOf } from '../storage/memberships.ts'
import { eventOf } from './events.ts'
import { HISTORY_VISIBILITY, type HistoryVisibility, historyVisibilityOf } from './history-visibility.ts'
import type { RoomParts } from './ports.ts'

type Parts = Pick<RoomParts, 'store' | 'events' | 'states' | 'serverName'>
type Room = { roomId: RoomId; version: RoomVersion }

const MEMBER = 'm.room.member'
const VISIBILITY_ENTRY = stateEntry(HISTORY_VISIBILITY, '')

/**
 * Whether a server that is in a room may see an event. Client-server API, "Room History Visibility", applied to whether
 * any of its users may.
 * @param visibility what holds at the event: before it or after it, whichever shows more
 * @param memberships of the server's users, before and after the event
 */
function serverMaySee(visibility: HistoryVisibility, memberships: Iterable<unknown>): boolean {
  if (visibility === 'world_readable' || visibility === 'shared') return true
  for (const membership of memberships) {
    if (membership === 'join' || (membership === 'invite' && visibility === 'invited')) return true
  }
  return false
}

/**
 * Events as a server in the room may see them, as JSON texts in the order given: those that it may not see are redacted,
 * and so is what erased users of ours wrote. The text of the others is what is kept, unparsed.
 */
export async function pdusFor(
  parts: Parts,
  room: Room,
  server: ServerName,
  rows: readonly EventRow[],
): Promise<string[]> {
  const { db } = parts.store
  const erased = await erasedSenders(parts, rows)
  const users = (await membersOf(db, room.roomId, { serverName: server })).map((row) => row.user_id)
  const entries = [VISIBILITY_ENTRY, ...users.map((userId) => stateEntry(MEMBER, userId))]
  const groups = new Set(rows.flatMap((row) => row.state_before ?? []))
  const visible = new Map<number, ReadonlyMap<string, EventId>>()
  const visibilities = await parts.states.pick(db, new Map([...groups].map((id) => [id, [VISIBILITY_ENTRY]])))
  const unsure: number[] = []
  const contents = await contentsOf(parts, room, [...visibilities.values()])
  for (const [id, state] of visibilities) {
    const visibility = historyVisibilityOf(contents(state.get(VISIBILITY_ENTRY)))
    if (!serverMaySee(visibility, [])) unsure.push(id)
  }
  // Who was in the room then matters in few rooms; it is looked up for those alone.
  for (const [id, state] of await parts.states.pick(db, new Map(unsure.map((id) => [id, entries]))))
    visible.set(id, state)
  const members = await contentsOf(parts, room, [...visible.values()])

  return rows.map((row) => {
    const state = row.state_before === null ? undefined : visible.get(row.state_before)
    const isSeen = !state || maySeeAt(row, room, server, state, members)
    if (isSeen && !erased.has(row.sender)) return row.pdu
    return JSON.stringify(redactEvent(eventOf(row, room.version), room.version).pdu)
  })
}

/** By the state before the event, and by what the event itself changes. */
function maySeeAt(
  row: EventRow,
  { version }: Room,
  server: ServerName,
  state: ReadonlyMap<string, EventId>,
  contentOf: (eventId: EventId | undefined) => { [member: string]: unknown } | undefined,
): boolean {
  const visibility = historyVisibilityOf(contentOf(state.get(VISIBILITY_ENTRY)))
  const memberships: unknown[] = [...state].map(([, eventId]) => contentOf(eventId)?.membership)
  if (row.type === HISTORY_VISIBILITY && row.state_key === '') {
    if (serverMaySee(historyVisibilityOf(eventOf(row, version).content), memberships)) return true
  }
  if (row.type === MEMBER && row.state_key !== null && serverNameOf(row.state_key as UserId) === server) {
    memberships.push(eventOf(row, version).content.membership)
  }
  return serverMaySee(visibility, memberships)
}

async function contentsOf(
  { store, events }: Parts,
  { version }: Room,
  states: readonly ReadonlyMap<string, EventId>[],
) {
  const ids = new Set(states.flatMap((state) => [...state.values()]))
  const known = await events.load(store.db, version, ids)
  return (eventId: EventId | undefined) => (eventId === undefined ? undefined : known.get(eventId)?.event.content)
}

async function erasedSenders({ store, serverName }: Parts, rows: readonly EventRow[]): Promise<ReadonlySet<string>> {
  const ours = new Set(rows.map((row) => row.sender).filter((sender) => serverNameOf(sender) === serverName))
  return ours.size === 0 ? ours : erasedAmong(store.db, [...ours])
}
