import { type StateMap, stateEntryParts } from '../matrix/events.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { RoomEventFilter } from '../matrix/room-event-filter.ts'
import { type EventRow, eventRows } from '../storage/events.ts'
import type { StateChange } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'
import { pickFields } from './event-fields.ts'
import { includesType, passesRow, type SyncFilter } from './filter.ts'
import { membersAt, type StateIds, statesAt } from './full-state.ts'
import type { SeenEvent, ShownEvent, SyncRooms, Viewer } from './ports.ts'
import type { DeviceMemory } from './sent-members.ts'
import { stateBeside } from './state-delta.ts'
import { type Timeline, timelines } from './timelines.ts'
import { formatToken } from './token.ts'

/** One sync: who asks, for what, and up to which position. */
export type Scope = {
  db: Db
  rooms: SyncRooms
  viewer: Viewer
  upTo: number
  filter: SyncFilter
  stateAfter: boolean
  sentMembers: DeviceMemory
}

/** A room that is to be shown, and from what. */
export type View = {
  roomId: RoomId
  after: number
  /** Its newest events, one more than are to be shown if there are so many. */
  rows: readonly EventRow[]
  /** Whether other events relate to some of these; left out where it is not known. */
  areRelatedTo?: boolean
  /** Where the client has nothing of the room, or is to begin anew; see `Stretch`. */
  begins?: 'first' | 'again' | undefined
  /**
   * What is known of its state: how it changed since the client's token; or all of it is wanted, as it is in a state
   * group, or (`now`) as of the sync's position.
   */
  state: { changes: readonly StateChange[] } | { group: number } | 'now'
  /** Whose membership is wanted besides, where members are loaded lazily. */
  heroes?: readonly UserId[] | undefined
  /** The user's own membership event, which is shown in any case. */
  own?: EventRow | undefined
}

export type RoomView = {
  timeline: { events: object[]; limited: boolean; prev_batch: string }
  state: { events: object[] }
}

const MEMBER = 'm.room.member'
/** Events of a timeline if the filter does not say it, and at most. */
const DEFAULT_LIMIT = 10
const MAX_LIMIT = 1_000

export function timelineLimit({ room }: SyncFilter): number {
  return Math.min(room?.timeline?.limit ?? DEFAULT_LIMIT, MAX_LIMIT)
}

/** Timeline and state of rooms, however many of them, everything read at once. Client-server API, "Syncing". */
export async function viewRooms(scope: Scope, views: readonly View[]): Promise<Map<RoomId, RoomView>> {
  if (views.length === 0) return new Map()
  const { db, rooms, viewer, filter, upTo } = scope
  const found = await timelines(rooms, db, viewer, views, filter.room?.timeline ?? {}, timelineLimit(filter))
  const wanted = await wantedState(scope, views, found)
  const stateRows = await readState(scope, wanted)
  const seen = [...found.values()].flatMap(({ shown }) => shown)
  const bundled = views.some(({ areRelatedTo }) => areRelatedTo !== false)
  const inTimelines = byRoom(
    seen.map(({ row }) => row),
    shape(
      scope,
      await rooms.clientEvents(db, viewer, seen, bundled),
      seen.map(({ row }) => row),
    ),
  )
  const isOwn = (row: EventRow) => passesRow(filter.room?.timeline ?? {}, row)
  // Whoever wants no timeline is told by the state how they left.
  const wantsTimeline = timelineLimit(filter) > 0
  const extra = views.flatMap(({ roomId, own }) => {
    if (!own || !isOwn(own) || found.get(roomId)!.shown.some(isRow(own))) return []
    return wantsTimeline || !stateRows.some((row) => row.event_id === own.event_id) ? own : []
  })
  const asState = [...stateRows, ...extra]
  const shaped = shape(scope, await rooms.clientState(db, viewer, asState), asState)
  const inStates = byRoom(stateRows, shaped.slice(0, stateRows.length))
  const own = byRoom(extra, shaped.slice(stateRows.length))
  noteMembers(scope, stateRows, seen)
  return new Map(
    views.map(({ roomId }) => {
      const { shown, limited } = found.get(roomId)!
      const first = shown[0]?.row
      const besides = own.get(roomId) ?? []
      const events = [...(inTimelines.get(roomId) ?? []), ...(wantsTimeline ? besides : [])]
      const state = [...(inStates.get(roomId) ?? []), ...(wantsTimeline ? [] : besides)]
      // Where nothing is shown, all that there is comes before the sync's own position.
      const prevBatch = first ? rooms.tokenBefore(first) : formatToken({ position: upTo, toDevice: upTo })
      const timeline = { events, limited, prev_batch: prevBatch }
      return [roomId, { timeline, state: { events: state } }]
    }),
  )
}

const isRow = (row: EventRow) => (seen: SeenEvent) => seen.row.event_id === row.event_id

/** The state that is sent beside each timeline, as event IDs. */
async function wantedState(
  scope: Scope,
  views: readonly View[],
  found: ReadonlyMap<RoomId, Timeline>,
): Promise<StateIds[]> {
  const { db, upTo, stateAfter, filter } = scope
  const lazy = filter.room?.state?.lazy_load_members === true
  const near = lazy ? new Map(views.map((view) => [view.roomId, membersNear(scope, view, found)])) : undefined
  const whole = views.filter(({ state }) => state === 'now').map(({ roomId }) => roomId)
  const states = await statesAt(db, whole, upTo, near ?? 'all')
  const wanted: StateIds[] = []
  for (const { roomId, state } of views) {
    const { shown } = found.get(roomId)!
    if (state !== 'now' && 'changes' in state) {
      wanted.push(stateBeside(state, shown, stateAfter))
      continue
    }
    const map: StateMap = state === 'now' ? states.get(roomId)! : await scope.rooms.state(db, state.group)
    const own = near ? onlyMembers(map, near.get(roomId)!) : map
    wanted.push(stateBeside({ state: own }, shown, stateAfter))
  }
  if (near) wanted.push(...(await lazyMembers(scope, views, found, near)))
  return wanted
}

/** Whose membership a client needs to show a timeline: that of everybody who says something in it. */
function membersNear({ viewer }: Scope, view: View, found: ReadonlyMap<RoomId, Timeline>): Set<UserId> {
  const senders = new Set(found.get(view.roomId)!.shown.map(({ event }) => event.sender))
  for (const hero of view.heroes ?? []) senders.add(hero)
  if (view.state === 'now' || !('changes' in view.state)) senders.add(viewer.userId)
  return senders
}

function onlyMembers(map: StateMap, users: ReadonlySet<UserId>): StateMap {
  return new Map(
    [...map].filter(([entry]) => {
      const [type, stateKey] = stateEntryParts(entry)
      return type !== MEMBER || users.has(stateKey as UserId)
    }),
  )
}

/** Members that a client may lack beside what has changed: those that it has been sent are left out. */
async function lazyMembers(
  { db, upTo, stateAfter, filter, sentMembers }: Scope,
  views: readonly View[],
  found: ReadonlyMap<RoomId, Timeline>,
  near: ReadonlyMap<RoomId, ReadonlySet<UserId>>,
): Promise<StateIds[]> {
  const partial = views.filter(({ state }) => state !== 'now' && 'changes' in state)
  const wanted = new Map(partial.map(({ roomId }) => [roomId, near.get(roomId)!]))
  const members = await membersAt(db, wanted, upTo)
  const redundant = filter.room?.state?.include_redundant_members === true
  return [...members].map(([roomId, state]) => {
    const { shown } = found.get(roomId)!
    const beside = stateBeside({ state }, shown, stateAfter)
    for (const [entry, eventId] of beside) {
      const userId = stateEntryParts(entry)[1] as UserId
      if (!redundant && sentMembers.has(roomId, userId, eventId)) beside.delete(entry)
    }
    return beside
  })
}

/** The events of states that the filter lets through, each once. */
async function readState({ db, filter }: Scope, wanted: readonly StateIds[]): Promise<EventRow[]> {
  const chosen: RoomEventFilter = filter.room?.state ?? {}
  const isWanted = (entry: string) => includesType(chosen, stateEntryParts(entry)[0])
  const ids = new Set<EventId>()
  for (const state of wanted) for (const [entry, eventId] of state) if (isWanted(entry)) ids.add(eventId)
  const rows = ids.size === 0 ? [] : await eventRows(db, [...ids])
  return rows.filter((row) => passesRow(chosen, row))
}

function noteMembers({ filter, sentMembers, upTo }: Scope, state: readonly EventRow[], seen: readonly SeenEvent[]) {
  if (filter.room?.state?.lazy_load_members !== true) return
  for (const row of [...state, ...seen.map((one) => one.row)]) {
    if (row.type !== MEMBER || row.state_key === null) continue
    sentMembers.note(row.room_id, row.state_key as UserId, row.event_id, upTo)
  }
}

/** Events in the form that the filter wants. Client-server API, "Filtering", `event_format`, `event_fields`. */
function shape({ filter }: Scope, events: readonly ShownEvent[], rows: readonly EventRow[]): object[] {
  const { event_format: format, event_fields: fields } = filter
  // Newer versions of rooms leave the event's ID to be calculated; clients are told it.
  const raw = (row: EventRow) => ({ ...(JSON.parse(row.pdu) as object), event_id: row.event_id })
  const formed: readonly object[] = format === 'federation' ? rows.map(raw) : events
  return fields ? formed.map((event) => pickFields(event, fields)) : [...formed]
}

function byRoom(rows: readonly EventRow[], events: readonly object[]): Map<RoomId, object[]> {
  const found = new Map<RoomId, object[]>()
  rows.forEach((row, nth) => {
    const own = found.get(row.room_id)
    if (own) own.push(events[nth]!)
    else found.set(row.room_id, [events[nth]!])
  })
  return found
}
