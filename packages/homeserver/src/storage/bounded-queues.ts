import type { ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** What is queued by destination, and grows while the destination is away. */
type Queue = 'outgoing_edus' | 'outgoing_device_messages'

/** Drops what has waited the longest for a destination, but for the newest `keep`. @returns how many were dropped */
export async function dropOldest(db: Db, queue: Queue, destination: ServerName, keep: number): Promise<number> {
  const edge = await db
    .selectFrom(queue)
    .select('id')
    .where('destination', '=', destination)
    .orderBy('id', 'desc')
    .offset(keep)
    .limit(1)
    .executeTakeFirst()
  if (!edge) return 0
  const result = await db
    .deleteFrom(queue)
    .where('destination', '=', destination)
    .where('id', '<=', edge.id)
    .executeTakeFirst()
  return Number(result.numDeletedRows)
}
