import { sql } from 'kysely'
import type { EventId, UserId } from '../matrix/ids.ts'
import type { EventRow } from './events.ts'
import { inParts } from './parts.ts'
import type { Db } from './store.ts'

/** A child of an event, and what is known of all children that relate to it in the same way. */
export type RelatedRow = EventRow & {
  relates_to: EventId
  rel_type: string
  /** How many there are. */
  total: number
  /** Whether the user who asks sent one of them. */
  participated: number
}

/** How many children of each kind are read: of threads the latest, of edits some since not all of them are valid. */
const KEPT = { 'm.thread': 1, 'm.replace': 3, 'm.reference': 100 } as const

/**
 * The children of events that are bundled with them: the newest of each kind, in order. Only those that the rules of
 * their kind allow as far as columns say it. Client-server API, "Aggregations of child events".
 * @param ignored users whose events do not count
 */
export async function bundledChildren(
  db: Db,
  parents: readonly EventId[],
  userId: string,
  ignored: readonly UserId[],
): Promise<RelatedRow[]> {
  const found: RelatedRow[] = []
  for (const some of inParts(parents, 300)) {
    found.push(...(await childrenOf(db, some, userId, ignored.slice(0, 300))))
  }
  return found
}

async function childrenOf(
  db: Db,
  parents: readonly EventId[],
  userId: string,
  ignored: readonly UserId[],
): Promise<RelatedRow[]> {
  // The newest edit is the one that says so itself; elsewhere the order of the room counts.
  const isEdit = sql<boolean>`child.rel_type = 'm.replace'`
  let children = db
    .selectFrom('events as child')
    .innerJoin('events as parent', 'parent.event_id', 'child.relates_to')
    .select([
      'child.event_id',
      'child.rel_type',
      sql<number>`row_number() over (partition by child.relates_to, child.rel_type order by
        case when ${isEdit} then child.origin_server_ts else child.depth end desc,
        case when ${isEdit} then 0 else child.position end desc, child.event_id desc)`.as('nth'),
      sql<number>`count(*) over (partition by child.relates_to, child.rel_type)`.as('total'),
      sql<number>`max(case when child.sender = ${userId} then 1 else 0 end)
        over (partition by child.relates_to, child.rel_type)`.as('participated'),
    ])
    .where('child.relates_to', 'in', parents)
    .where('child.rel_type', 'in', Object.keys(KEPT))
    .where('child.status', '=', 'accepted')
    .where('child.position', 'is not', null)
    // Concatenated, so that no index of rooms is taken: the way leads from the parents to their children.
    .where(sql<boolean>`child.room_id || '' = parent.room_id`)
    .where((eb) =>
      eb.or([
        eb('child.rel_type', '!=', 'm.replace'),
        eb.and([
          eb('child.sender', '=', eb.ref('parent.sender')),
          eb('child.type', '=', eb.ref('parent.type')),
          eb('child.state_key', 'is', null),
          eb('parent.redacted_by', 'is', null),
          eb.or([eb('parent.rel_type', 'is', null), eb('parent.rel_type', '!=', 'm.replace')]),
        ]),
      ]),
    )
  if (ignored.length > 0) children = children.where('child.sender', 'not in', ignored)
  // The wire forms are read of those few that are kept only.
  const rows = await db
    .selectFrom(children.as('found'))
    .innerJoin('events', 'events.event_id', 'found.event_id')
    .selectAll('events')
    .select(['found.total', 'found.participated'])
    .where((eb) =>
      eb.or(
        Object.entries(KEPT).map(([type, kept]) =>
          eb.and([eb('found.rel_type', '=', type), eb('found.nth', '<=', kept)]),
        ),
      ),
    )
    .orderBy('found.nth')
    .execute()
  return rows as RelatedRow[]
}
