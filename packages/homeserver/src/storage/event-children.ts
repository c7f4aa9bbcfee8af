import { sql } from 'kysely'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { EventRow } from './events.ts'
import type { Db } from './store.ts'

type Place = { depth: number; position: number }

/** Which of the events that relate to one are wanted. */
export type ChildrenChoice = {
  relType: string | undefined
  eventType: string | undefined
  /** How many relations may lie between the event and what relates to it. */
  levels: number
  dir: 'f' | 'b'
  from: Place | undefined
  to: Place | undefined
  limit: number
}

/**
 * Events of a room that relate to an event, in the order of depth and position. Those behind others are among them only
 * if what lies between is chosen, too.
 */
export async function childrenPage(
  db: Db,
  roomId: RoomId,
  parent: EventId,
  { relType, eventType, levels, dir, from, to, limit }: ChildrenChoice,
): Promise<EventRow[]> {
  // The room is concatenated, so that no index of rooms is taken: the way leads from an event to its children.
  const chosen = sql`${relType === undefined ? sql`true` : sql`e.rel_type = ${relType}`}
    and ${eventType === undefined ? sql`true` : sql`e.type = ${eventType}`}
    and e.room_id || '' = ${roomId} and e.status = 'accepted' and e.position is not null`
  const [after, upTo] = dir === 'f' ? [from, to] : [to, from]
  const order = sql.raw(dir === 'f' ? 'asc' : 'desc')
  const { rows } = await sql<EventRow>`
    with recursive children(event_id, level) as (
      select e.event_id, 1 from events e where e.relates_to = ${parent} and ${chosen}
      union
      select e.event_id, children.level + 1 from children inner join events e on e.relates_to = children.event_id
      where children.level < ${sql.lit(levels)} and ${chosen}
    )
    select * from events where event_id in (select event_id from children) and event_id <> ${parent}
    ${after ? sql`and (depth, position) > (${after.depth}, ${after.position})` : sql``}
    ${upTo ? sql`and (depth, position) <= (${upTo.depth}, ${upTo.position})` : sql``}
    order by depth ${order}, position ${order} limit ${sql.lit(limit)}`.execute(db)
  return rows
}

/** A thread: its root, and where its latest event stands. */
export type ThreadRow = { root: EventId } & Place

/** The threads of a room, the one with the latest event first. */
export async function threadsPage(
  db: Db,
  roomId: RoomId,
  choice: { userId: UserId; participated: boolean; ignored: readonly string[]; from: Place | undefined; limit: number },
): Promise<ThreadRow[]> {
  const { userId, participated, ignored, from, limit } = choice
  const ignoring = ignored.length > 0 ? sql`and e.sender not in (${sql.join(ignored.slice(0, 300))})` : sql``
  const { rows } = await sql<ThreadRow>`
    select root, depth, position from (
      select e.relates_to as root, e.depth, e.position, p.sender,
        row_number() over (partition by e.relates_to order by e.depth desc, e.position desc) as nth,
        max(case when e.sender = ${userId} then 1 else 0 end) over (partition by e.relates_to) as participated
      from events e inner join events p on p.event_id = e.relates_to and p.room_id = e.room_id
      where e.room_id = ${roomId} and e.rel_type = 'm.thread' and e.status = 'accepted' and e.position is not null
        and p.position is not null and p.rel_type is null ${ignoring}
    ) threads
    where nth = 1
    ${participated ? sql`and (participated = 1 or sender = ${userId})` : sql``}
    ${from ? sql`and (depth, position) <= (${from.depth}, ${from.position})` : sql``}
    order by depth desc, position desc limit ${sql.lit(limit)}`.execute(db)
  return rows
}

/** The wire forms of one user's events of a type that relate to an event in one way. */
export async function ownChildren(
  db: Db,
  parent: EventId,
  own: { sender: UserId; type: string; relType: string },
): Promise<string[]> {
  const rows = await db
    .selectFrom('events')
    .select('pdu')
    .where('relates_to', '=', parent)
    .where('rel_type', '=', own.relType)
    .where('sender', '=', own.sender)
    .where('type', '=', own.type)
    .where('status', '=', 'accepted')
    .where('position', 'is not', null)
    .execute()
  return rows.map((row) => row.pdu)
}
