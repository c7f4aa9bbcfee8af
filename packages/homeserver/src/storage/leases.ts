import { sql } from 'kysely'

/**
 * No lease is taken or prolonged for so long (ms), not even by a machine whose clock is ahead of ours: one that seems to last longer
 * is of the time before the clock was set back, and its holder may have died since.
 */
const TOO_LONG_MS = 60_000

/** Whether somebody holds a lease, by the time it is taken until. Times in epoch ms. */
export function isLeased(until: number | null, now: number): boolean {
  return until !== null && until > now && until <= now + TOO_LONG_MS
}

/** The same in a statement. @param column where it says until when */
export function isLeasedIn(column: string, now: number) {
  const until = sql.ref(column)
  return sql<boolean>`(${until} is not null and ${until} > ${now} and ${until} <= cast(${now} as bigint) + ${sql.lit(TOO_LONG_MS)})`
}
