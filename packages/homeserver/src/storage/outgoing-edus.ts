import type { Selectable } from 'kysely'
import type { ServerName } from '../matrix/ids.ts'
import type { OutgoingEduKind, OutgoingEdusTable } from './ephemeral-tables.ts'
import { inParts } from './parts.ts'
import type { Db } from './store.ts'

/** An EDU, or a part of one, that a destination has not confirmed yet. */
export type OutgoingEdu = Selectable<OutgoingEdusTable>

/** What is queued; `content` is JSON, `createdAt` epoch ms. */
export type NewEdu = { key: string; kind: OutgoingEduKind; content: string; position: number; createdAt: number }

/** Queues one for several destinations. It takes the place of an older one with the same key. */
export async function queueEdu(db: Db, destinations: readonly ServerName[], edu: NewEdu): Promise<void> {
  const { key, kind, content, position, createdAt: created_at } = edu
  for (const some of inParts(destinations, 500)) {
    await db
      .insertInto('outgoing_edus')
      .values(some.map((destination) => ({ destination, key, kind, content, position, created_at })))
      .onConflict((conflict) => conflict.columns(['destination', 'key']).doUpdateSet({ content, position, created_at }))
      .execute()
  }
}

/** Which of these destinations have more than `limit` waiting. */
export async function overfullEduQueues(
  db: Db,
  destinations: readonly ServerName[],
  limit: number,
): Promise<ServerName[]> {
  const found: ServerName[] = []
  for (const some of inParts(destinations, 500)) {
    const rows = await db
      .selectFrom('outgoing_edus')
      .select('destination')
      .where('destination', 'in', some)
      .groupBy('destination')
      .having((eb) => eb.fn.countAll<number>(), '>', limit)
      .execute()
    found.push(...rows.map((row) => row.destination))
  }
  return found
}

/** Destinations that something is queued for. */
export async function queuedEduDestinations(db: Db): Promise<ServerName[]> {
  const rows = await db.selectFrom('outgoing_edus').select('destination').distinct().execute()
  return rows.map((row) => row.destination)
}

/** The oldest that are queued for a destination. */
export async function queuedEdus(db: Db, destination: ServerName, limit: number): Promise<OutgoingEdu[]> {
  return db
    .selectFrom('outgoing_edus')
    .selectAll()
    .where('destination', '=', destination)
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Takes them off the queue, but for those that were replaced after `position`. */
export async function removeQueuedEdus(db: Db, ids: readonly number[], position: number): Promise<void> {
  if (ids.length === 0) return
  await db.deleteFrom('outgoing_edus').where('id', 'in', ids).where('position', '<=', position).execute()
}

/** Removes what was queued before `before` (epoch ms), of kinds that are worth nothing late. */
export async function removeStaleEdus(
  db: Db,
  kinds: readonly OutgoingEduKind[],
  before: number,
  destination?: ServerName,
): Promise<void> {
  let query = db.deleteFrom('outgoing_edus').where('kind', 'in', kinds).where('created_at', '<', before)
  if (destination !== undefined) query = query.where('destination', '=', destination)
  await query.execute()
}
