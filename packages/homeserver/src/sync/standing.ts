import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { type MembershipRow, membershipsOf } from '../storage/memberships.ts'
import { membershipChangesOf, type StateChange } from '../storage/room-state.ts'
import type { Membership } from '../storage/room-tables.ts'
import type { Db } from '../storage/store.ts'
import { membershipsChangedSince } from '../storage/sync-rooms.ts'
import type { JoinedRooms } from './joined-rooms.ts'

/** A user's membership of a room, as of a position. */
export type OwnMembership = {
  roomId: RoomId
  membership: Membership
  eventId: EventId | null
  sender: UserId
  forgotten: boolean
  position: number
  /** Whether the user was in the room at the start, and whether they came (perhaps again) since then. */
  wasJoined: boolean
  hasJoined: boolean
}

/** Where a user stands in rooms as of a position, and what of that is new. */
export type Standing = {
  joined: ReadonlySet<RoomId>
  /** Of those joined: rooms that the client knows nothing of, or not enough. */
  newlyJoined: ReadonlySet<RoomId>
  /** Memberships other than joins that have changed; all of them from the beginning. */
  others: readonly OwnMembership[]
}

const NOTHING_NEW = { newlyJoined: new Set<RoomId>(), others: [] }
const END = Number.MAX_SAFE_INTEGER

/** Where a user stands, of all rooms. Nothing that comes after `upTo` counts, though it may have happened already. */
export async function wholeStanding(db: Db, userId: UserId, upTo: number): Promise<Standing> {
  const rows = await membershipsOf(db, userId)
  const later = firstByRoom(await membershipChangesOf(db, userId, upTo, END))
  const own = rows.flatMap((row): OwnMembership[] => {
    const known = { ...ownOf(row), wasJoined: false, hasJoined: false }
    const next = later.get(row.room_id)
    if (!next) return row.position > upTo ? [] : [known]
    const { prev_membership: membership, prev_event_id: eventId } = next
    return membership === null ? [] : [{ ...known, membership, eventId, position: upTo }]
  })
  const joined = new Set(own.flatMap(({ roomId, membership }) => (membership === 'join' ? [roomId] : [])))
  return { joined, newlyJoined: joined, others: own.filter(({ membership }) => membership !== 'join') }
}

/** The same, with what is new since `after` told apart. */
export async function standingSince(
  db: Db,
  joinedRooms: JoinedRooms,
  userId: UserId,
  after: number,
  upTo: number,
): Promise<Standing> {
  const joinedNow = await joinedRooms(userId)
  const rows = await membershipsChangedSince(db, userId, after)
  const log = await membershipChangesOf(db, userId, after, END)
  if (rows.length + log.length === 0) return { joined: joinedNow, ...NOTHING_NEW }

  const later = firstByRoom(log.filter((change) => change.position > upTo))
  const changes = Map.groupBy(
    log.filter((change) => change.position <= upTo),
    (change) => change.room_id,
  )
  const joined = new Set(joinedNow)
  for (const [roomId, { prev_membership: membership }] of later) {
    if (membership === 'join') joined.add(roomId)
    else joined.delete(roomId)
  }
  const newlyJoined = new Set([...changes].flatMap(([roomId, all]) => (all.some(isArrival) ? [roomId] : [])))
  const others = othersOf(rows, changes, later, upTo).filter(({ membership }) => membership !== 'join')
  return { joined, newlyJoined: newlyJoined.intersection(joined), others }
}

function othersOf(
  rows: readonly MembershipRow[],
  changes: ReadonlyMap<RoomId, StateChange[]>,
  later: ReadonlyMap<RoomId, StateChange>,
  upTo: number,
): OwnMembership[] {
  const rest = new Map(changes)
  const found: OwnMembership[] = []
  for (const row of rows) {
    const inRange = changes.get(row.room_id)
    rest.delete(row.room_id)
    if (inRange) found.push({ ...ownOf(row), ...asOf(inRange) })
    // What is told of a room that this server is not in stands in no log.
    else if (!later.has(row.room_id) && row.position <= upTo) {
      found.push({ ...ownOf(row), wasJoined: false, hasJoined: false })
    }
  }
  // A membership that the resolved state no longer has.
  for (const [roomId, inRange] of rest) {
    const sender = inRange.at(-1)!.state_key as UserId
    found.push({ roomId, sender, forgotten: false, ...asOf(inRange) })
  }
  return found
}

function asOf(changes: readonly StateChange[]) {
  const last = changes.at(-1)!
  return {
    membership: last.membership ?? 'leave',
    eventId: last.event_id,
    position: last.position,
    wasJoined: changes[0]!.prev_membership === 'join',
    hasJoined: changes.some(isArrival),
  }
}

const ownOf = (row: MembershipRow) => ({
  roomId: row.room_id,
  membership: row.membership,
  eventId: row.event_id as EventId | null,
  sender: row.sender,
  forgotten: row.forgotten === 1,
  position: row.position,
})

const isArrival = (change: StateChange) => change.membership === 'join' && change.prev_membership !== 'join'

function firstByRoom(changes: readonly StateChange[]): Map<RoomId, StateChange> {
  const first = new Map<RoomId, StateChange>()
  for (const change of changes) if (!first.has(change.room_id)) first.set(change.room_id, change)
  return first
}
