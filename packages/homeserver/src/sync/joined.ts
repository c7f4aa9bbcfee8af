import type { RoomId, UserId } from '../matrix/ids.ts'
import type { StateChange } from '../storage/room-state.ts'
import { newestEvents } from '../storage/sync-rooms.ts'
import type { Chunks } from './chunks.ts'
import { filterEvents, includesRoom } from './filter.ts'
import type { ShownEvent, SyncEphemeral, Unread, UnreadCounts } from './ports.ts'
import { type RoomView, type Scope, timelineLimit, type View, viewRooms } from './room-views.ts'
import type { Standing } from './standing.ts'
import { changesSummary, type Summary, summaries } from './summaries.ts'
import { formatToken } from './token.ts'

/** Client-server API, "Syncing", "Joined Room". */
export type JoinedRoom = {
  summary?: Summary
  state?: { events: object[] }
  state_after?: { events: object[] }
  timeline: RoomView['timeline']
  ephemeral: { events: ShownEvent[] }
  account_data: { events: ShownEvent[] }
  unread_notifications: UnreadCounts
  unread_thread_notifications?: Record<string, UnreadCounts>
}

/**
 * Since when; whether all of the state is wanted whatever the client has; whether nothing is wanted of the history of
 * rooms that the user has come to.
 */
export type Since = { after: number; fullState: boolean; onlyNew?: boolean }

/**
 * What there is of the rooms that a user is in. Client-server API, "Syncing", `rooms.join`.
 * @returns the rooms, and who has come to one that the client knew
 */
export async function joinedRooms(
  scope: Scope,
  chunks: Chunks,
  ephemeral: SyncEphemeral,
  standing: Standing,
  { after, fullState, onlyNew = false }: Since,
): Promise<{ rooms: Record<RoomId, JoinedRoom>; arrivals: UserId[] }> {
  const { db, upTo, filter, viewer } = scope
  const isWanted = (roomId: RoomId) => includesRoom(filter.room, roomId)
  const joined = [...standing.joined].filter(isWanted)
  const fresh = [...standing.newlyJoined].filter(isWanted)
  const known = after === 0 ? [] : await chunks.changedRooms(db, standing.joined, { after, upTo })
  const ongoing = known.filter((roomId) => isWanted(roomId) && !standing.newlyJoined.has(roomId))

  const { views, changes } = await viewsOf(scope, chunks, { after, fullState, onlyNew, joined, fresh, ongoing })
  const whole = views.flatMap(({ roomId, state }) => (state === 'now' ? roomId : []))
  const renamed = [...changes].flatMap(([roomId, all]) => (changesSummary(all) ? roomId : []))
  const told = await summaries(db, viewer.userId, [...new Set([...whole, ...renamed])])
  const shown = await viewRooms(
    scope,
    views.map((view) => ({ ...view, heroes: told.get(view.roomId)?.['m.heroes'] })),
  )
  const beside = await readBeside(scope, ephemeral, joined, fresh, after)

  const isNews = (roomId: RoomId) => {
    const view = shown.get(roomId)
    const isShown = view && (view.timeline.events.length > 0 || view.state.events.length > 0 || view.timeline.limited)
    return isShown || told.has(roomId) || beside.ephemeral.has(roomId) || beside.accountData.has(roomId)
  }
  const included = [...new Set([...shown.keys(), ...beside.ephemeral.keys(), ...beside.accountData.keys()])]
  const news = included.filter((roomId) => standing.joined.has(roomId) && isWanted(roomId) && isNews(roomId))
  const unread = await ephemeral.unreadCounts(db, viewer.userId, news)
  const here = formatToken({ position: upTo, toDevice: upTo })
  const rooms: Record<RoomId, JoinedRoom> = {}
  for (const roomId of news) {
    rooms[roomId] = {
      ...(told.has(roomId) && { summary: told.get(roomId)! }),
      ...stateOf(scope, shown.get(roomId)),
      timeline: shown.get(roomId)?.timeline ?? { events: [], limited: false, prev_batch: here },
      ephemeral: { events: beside.ephemeral.get(roomId) ?? [] },
      account_data: { events: beside.accountData.get(roomId) ?? [] },
      ...unreadOf(scope, unread.get(roomId)),
    }
  }
  return { rooms, arrivals: [...changes.values()].flatMap(arrivalsAmong) }
}

/** Those who have come to a room. */
const arrivalsAmong = (changes: readonly StateChange[]): UserId[] =>
  changes
    .filter(({ membership, prev_membership: before }) => membership === 'join' && before !== 'join')
    .map((change) => change.state_key as UserId)

type Wanted = Since & { joined: readonly RoomId[]; fresh: readonly RoomId[]; ongoing: readonly RoomId[] }

/** What is read of rooms: of those that are new to the client the newest events, of the others what happened. */
async function viewsOf(
  { db, upTo, filter }: Scope,
  chunks: Chunks,
  { after, fullState, onlyNew, joined, fresh, ongoing }: Wanted,
): Promise<{ views: View[]; changes: Map<RoomId, readonly StateChange[]> }> {
  const limit = timelineLimit(filter) + 1
  const newest = await newestEvents(
    db,
    fresh.map((roomId) => ({ roomId, after: onlyNew ? after : 0, upTo, limit })),
  )
  const read = await chunks.read(db, ongoing, { after, upTo }, limit)
  const views: View[] = fresh.map((roomId) => {
    return {
      roomId,
      after: onlyNew ? after : 0,
      rows: newest.get(roomId)!,
      begins: after === 0 ? 'first' : 'again',
      state: 'now',
    }
  })
  for (const [roomId, { rows, changes, areRelatedTo }] of read) {
    views.push({ roomId, after, rows, areRelatedTo, state: fullState ? 'now' : { changes } })
  }
  const quiet = fullState ? joined.filter((roomId) => !newest.has(roomId) && !read.has(roomId)) : []
  for (const roomId of quiet) views.push({ roomId, after, rows: [], state: 'now' })
  return { views, changes: new Map([...read].map(([roomId, { changes }]) => [roomId, changes])) }
}

type Beside = { ephemeral: Map<RoomId, ShownEvent[]>; accountData: Map<RoomId, ShownEvent[]> }

/** What is no event of the rooms: since the client's token, and of rooms that are new to it all there is. */
async function readBeside(
  { db, upTo, viewer: { userId }, filter }: Scope,
  source: SyncEphemeral,
  joined: readonly RoomId[],
  fresh: readonly RoomId[],
  after: number,
): Promise<Beside> {
  const typing = await source.typingSince(db, joined, after, upTo)
  const receipts = await source.receiptsSince(db, userId, joined, after, upTo)
  const accountData = await source.roomAccountDataSince(userId, after, upTo)
  if (after > 0 && fresh.length > 0) {
    for (const [roomId, users] of await source.typingSince(db, fresh, 0, upTo)) typing.set(roomId, users)
    for (const [roomId, all] of await source.receiptsSince(db, userId, fresh, 0, upTo)) receipts.set(roomId, all)
    const all = await source.roomAccountDataSince(userId, 0, upTo)
    for (const roomId of fresh) if (all.has(roomId)) accountData.set(roomId, all.get(roomId)!)
  }
  const events = new Map<RoomId, ShownEvent[]>()
  const add = (roomId: RoomId, event: ShownEvent) => events.set(roomId, [...(events.get(roomId) ?? []), event])
  for (const [roomId, users] of typing) add(roomId, { type: 'm.typing', content: { user_ids: users } })
  for (const [roomId, content] of receipts) add(roomId, { type: 'm.receipt', content })
  return {
    ephemeral: filtered(events, filter.room?.ephemeral),
    accountData: filtered(accountData, filter.room?.account_data),
  }
}

function filtered(events: ReadonlyMap<RoomId, ShownEvent[]>, filter: Parameters<typeof filterEvents>[1]) {
  const passing = [...events].map(([roomId, own]) => [roomId, filterEvents(own, filter, roomId)] as const)
  return new Map(passing.filter(([, own]) => own.length > 0))
}

function stateOf({ stateAfter }: Scope, view: RoomView | undefined) {
  const state = view?.state ?? { events: [] }
  return stateAfter ? { state_after: state } : { state }
}

const NONE: UnreadCounts = { notification_count: 0, highlight_count: 0 }

/** Client-server API, "Receiving notifications": threads are counted apart if the filter says so. */
function unreadOf({ filter }: Scope, unread: Unread | undefined) {
  const all = unread?.all ?? NONE
  if (filter.room?.timeline?.unread_thread_notifications !== true) return { unread_notifications: all }
  const threads = Object.fromEntries(unread?.threads ?? [])
  const main = { ...all }
  for (const counts of Object.values(threads)) {
    main.notification_count -= counts.notification_count
    main.highlight_count -= counts.highlight_count
  }
  const anyThread = Object.keys(threads).length > 0
  return { unread_notifications: main, ...(anyThread && { unread_thread_notifications: threads }) }
}
