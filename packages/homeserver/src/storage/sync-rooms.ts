import { sql } from 'kysely'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { EventRow } from './events.ts'
import type { MembershipRow } from './memberships.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Membership } from './room-tables.ts'
import type { Db } from './store.ts'

/** What one statement has room for. */
const AT_ONCE = 500

const selectChanged = prepared<{ after: number; limit: number }, { room_id: RoomId }>((db, value) =>
  db.selectFrom('rooms').select('room_id').where('last_position', '>', value('after')).limit(value('limit')),
)

/** Rooms with an event after a position, at most `limit` of all that the server knows. */
export async function roomsChangedSince(db: Db, after: number, limit: number): Promise<RoomId[]> {
  return (await selectChanged(db, { after, limit })).rows.map((row) => row.room_id)
}

/** Those of these rooms that have an event after a position. */
export async function changedAmong(db: Db, roomIds: readonly RoomId[], after: number): Promise<RoomId[]> {
  const changed: RoomId[] = []
  for (const some of inParts(roomIds, AT_ONCE)) {
    const rows = await db
      .selectFrom('rooms')
      .select('room_id')
      .where('room_id', 'in', some)
      .where('last_position', '>', after)
      .execute()
    for (const row of rows) changed.push(row.room_id)
  }
  return changed
}

/** The newest `limit` events of a room between two positions: after the first, up to the second. */
export type Span = { roomId: RoomId; after: number; upTo: number; limit: number }

/** A statement for so many spans; what is left over is filled with spans of no room. */
const SIZES = [1, 10, 100] as const
const selectNewest = SIZES.map((size) =>
  prepared<Record<string, unknown>, EventRow>((db, value) => {
    const spans = Array.from({ length: size }, (_, n) =>
      db
        .selectFrom(
          db
            .selectFrom('events')
            .selectAll()
            .where('room_id', '=', value(`room${n}`) as RoomId)
            .where('status', '=', 'accepted')
            .where('position', '>', value(`after${n}`) as number)
            .where('position', '<=', value(`upTo${n}`) as number)
            .orderBy('position', 'desc')
            .limit(value(`limit${n}`) as number)
            .as('newest'),
        )
        .selectAll(),
    )
    return spans.reduce((all, span) => all.unionAll(span))
  }),
)

/** Events that clients are shown, the newest of each span, in the order of the stream. */
export async function newestEvents(db: Db, spans: readonly Span[]): Promise<Map<RoomId, EventRow[]>> {
  const found = new Map<RoomId, EventRow[]>(spans.map(({ roomId }) => [roomId, []]))
  for (let start = 0; start < spans.length; ) {
    const left = spans.length - start
    const nth = left === 1 ? 0 : left <= 10 ? 1 : 2
    const values: Record<string, unknown> = {}
    for (let n = 0; n < SIZES[nth]!; n++) {
      const span = spans[start + n]
      values[`room${n}`] = span?.roomId ?? ''
      values[`after${n}`] = span?.after ?? 0
      values[`upTo${n}`] = span?.upTo ?? 0
      values[`limit${n}`] = span?.limit ?? 0
    }
    const { rows } = await selectNewest[nth]!(db, values)
    for (const row of rows.sort((a, b) => a.position! - b.position!)) found.get(row.room_id)!.push(row)
    start += SIZES[nth]!
  }
  return found
}

const selectOwn = prepared<{ userId: UserId; after: number }, MembershipRow>((db, value) =>
  db
    .selectFrom('memberships')
    .selectAll()
    .where('is_local', '=', sql.lit(1))
    .where('user_id', '=', value('userId'))
    .where('position', '>', value('after')),
)

/** One of our users' memberships that changed after a position. */
export async function membershipsChangedSince(db: Db, userId: UserId, after: number): Promise<MembershipRow[]> {
  return (await selectOwn(db, { userId, after })).rows
}

export type MemberEvent = { room_id: RoomId; user_id: UserId; event_id: EventId }

/** The membership events of everybody in these rooms, or of those among `userIds` in any of them. */
export async function memberEvents(
  db: Db,
  roomIds: readonly RoomId[],
  userIds?: readonly UserId[],
): Promise<MemberEvent[]> {
  const found: MemberEvent[] = []
  for (const some of inParts(roomIds, AT_ONCE)) {
    const query = db.selectFrom('memberships').select(['room_id', 'user_id', 'event_id']).where('room_id', 'in', some)
    if (!userIds) found.push(...(await query.execute()))
    for (let nth = 0; userIds && nth < userIds.length; nth += AT_ONCE) {
      found.push(...(await query.where('user_id', 'in', userIds.slice(nth, nth + AT_ONCE)).execute()))
    }
  }
  return found
}

export type RoomMember = { room_id: RoomId; user_id: UserId; membership: Membership }

/** The first `limit` members of each room with one of these memberships, one user left out: those that came first. */
export async function firstMembers(
  db: Db,
  roomIds: readonly RoomId[],
  { memberships, but, limit }: { memberships: readonly Membership[]; but: UserId; limit: number },
): Promise<RoomMember[]> {
  const found: RoomMember[] = []
  for (const some of inParts(roomIds, AT_ONCE)) {
    const ordered = db
      .selectFrom('memberships')
      .select(['room_id', 'user_id', 'membership'])
      .select(sql<number>`row_number() over (partition by room_id order by position, user_id)`.as('nth'))
      .where('room_id', 'in', some)
      .where('membership', 'in', memberships)
      .where('user_id', '!=', but)
    const rows = await db
      .selectFrom(ordered.as('ordered'))
      .select(['room_id', 'user_id', 'membership'])
      .where('nth', '<=', limit)
      .orderBy('room_id')
      .orderBy('nth')
      .execute()
    found.push(...rows)
  }
  return found
}

/** How somebody's membership of a room changed. */
export type Movement = { room_id: RoomId; user_id: UserId; membership: Membership; prev_membership: Membership | null }

const selectMovements = prepared<{ userId: UserId; after: number; upTo: number }, Movement>((db, value) =>
  db
    .selectFrom('state_changes as change')
    .innerJoin('memberships as own', 'own.room_id', 'change.room_id')
    .select([
      'change.room_id',
      (eb) => eb.ref('change.state_key').$castTo<UserId>().as('user_id'),
      (eb) => eb.ref('change.membership').$castTo<Membership>().as('membership'),
      'change.prev_membership',
    ])
    .where('change.membership', 'is not', null)
    .where('change.position', '>', value('after'))
    .where('change.position', '<=', value('upTo'))
    .where('own.user_id', '=', value('userId'))
    .where('own.membership', '=', 'join')
    .orderBy('change.position'),
)

/** How memberships changed, between two positions, in the rooms that a user is in. */
export async function movementsAround(db: Db, userId: UserId, after: number, upTo: number): Promise<Movement[]> {
  return (await selectMovements(db, { userId, after, upTo })).rows
}
