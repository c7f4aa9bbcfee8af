import type { EventId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** The events that directly authorize any of these state events. */
export async function authIdsOf(db: Db, eventIds: readonly EventId[]): Promise<EventId[]> {
  const found = new Set<EventId>()
  for (let start = 0; start < eventIds.length; start += 500) {
    const rows = await db
      .selectFrom('event_auth')
      .select('auth_id')
      .distinct()
      .where('event_id', 'in', eventIds.slice(start, start + 500))
      .execute()
    for (const row of rows) found.add(row.auth_id)
  }
  return [...found]
}
