import type { EventId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import type { Db } from './store.ts'

/** The IDs of what authorizes these state events, directly or not; they themselves only if another one needs them. */
export async function authChainOf(db: Db, eventIds: readonly EventId[]): Promise<EventId[]> {
  const found = new Set<EventId>()
  for (const some of inParts(eventIds, 500)) {
    const rows = await db
      .withRecursive('chain(event_id)', (cte) =>
        cte
          .selectFrom('event_auth')
          .select('auth_id as event_id')
          .where('event_id', 'in', some)
          .union((eb) =>
            eb
              .selectFrom('event_auth')
              .innerJoin('chain', 'chain.event_id', 'event_auth.event_id')
              .select('event_auth.auth_id as event_id'),
          ),
      )
      .selectFrom('chain')
      .select('event_id')
      .execute()
    for (const row of rows) found.add(row.event_id as EventId)
  }
  return [...found]
}

/** The same, these events included. */
export async function withAuthChain(db: Db, eventIds: readonly EventId[]): Promise<EventId[]> {
  return [...new Set([...eventIds, ...(await authChainOf(db, eventIds))])]
}
