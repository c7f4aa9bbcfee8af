import type { EventId, RoomId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** One entry of a state group; the event ID is `null` where the entry is gone. */
export type StateGroupEntry = readonly [type: string, stateKey: string, eventId: EventId | null]

/** A state group as it is kept: all entries if `prevId` is null, else those in which it differs from that one. */
export type StateGroupRow = { id: number; prevId: number | null; hops: number; entries: StateGroupEntry[] }

const insertGroup = prepared<{ roomId: RoomId; prevId: number | null; hops: number; entries: string }, { id: number }>(
  (db, value) =>
    db
      .insertInto('state_groups')
      .values({ room_id: value('roomId'), prev_id: value('prevId'), hops: value('hops'), entries: value('entries') })
      .returning('id'),
)

export async function addStateGroup(db: Db, roomId: RoomId, group: Omit<StateGroupRow, 'id'>): Promise<number> {
  const { prevId, hops, entries } = group
  const { rows } = await insertGroup(db, { roomId, prevId, hops, entries: JSON.stringify(entries) })
  return rows[0]!.id
}

/** These groups and all that they are built on. */
export async function stateGroupRows(db: Db, ids: readonly number[]): Promise<Map<number, StateGroupRow>> {
  const found = new Map<number, StateGroupRow>()
  for (const some of inParts(ids, 500)) {
    const rows = await db
      .withRecursive('way(id)', (cte) =>
        cte
          .selectFrom('state_groups')
          .select('id')
          .where('id', 'in', some)
          .union((eb) =>
            eb
              .selectFrom('way')
              .innerJoin('state_groups', 'state_groups.id', 'way.id')
              .select('state_groups.prev_id as id')
              .where('state_groups.prev_id', 'is not', null)
              .$castTo<{ id: number }>(),
          ),
      )
      .selectFrom('way')
      .innerJoin('state_groups', 'state_groups.id', 'way.id')
      .select(['state_groups.id', 'state_groups.prev_id', 'state_groups.hops', 'state_groups.entries'])
      .execute()
    for (const row of rows) {
      found.set(row.id, { id: row.id, prevId: row.prev_id, hops: row.hops, entries: JSON.parse(row.entries) })
    }
  }
  return found
}
