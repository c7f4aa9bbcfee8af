import { sql } from 'kysely'
import type { Db } from './store.ts'

/**
 * So many lists were stale at a moment (epoch ms), for one reason, with doubts of one age: an index into `DOUBT_AGES`, or
 * one past its end for older ones.
 */
export type StaleCount = { at: number; reason: string; age: number; count: number }

const MINUTE = 60_000
/** Upper bounds (ms) of the ages of doubts that are told apart. */
export const DOUBT_AGES = [MINUTE, 10 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE]

/** Counts the stale lists that somebody needs. A moment with none is one row, so that it is known that there were none. */
export async function countStale(db: Db, now: number): Promise<StaleCount[]> {
  const age = sql<number>`case ${sql.join(
    DOUBT_AGES.map((bound, index) => sql`when doubted_at > ${now - bound} then ${sql.lit(index)}`),
    sql` `,
  )} else ${sql.lit(DOUBT_AGES.length)} end`
  const rows = await db
    .selectFrom('device_lists')
    .select([sql<string>`coalesce(reason, '')`.as('reason'), age.as('age'), sql<number>`count(*)`.as('count')])
    .where(sql<boolean>`wanted_gen > synced_gen`)
    .where('tracked', '=', 1)
    .groupBy([sql`1`, sql`2`])
    .execute()
  if (rows.length === 0) return [{ at: now, reason: '', age: 0, count: 0 }]
  return rows.map((row) => ({ at: now, reason: row.reason, age: row.age, count: Number(row.count) }))
}

/** Keeps counts; those of a moment that are there already stay as they are. */
export async function saveCounts(db: Db, counts: readonly StaleCount[]): Promise<void> {
  await db
    .insertInto('device_list_counts')
    .values([...counts])
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** The moment of the newest counts. */
export async function newestCounts(db: Db): Promise<number | undefined> {
  const row = await db
    .selectFrom('device_list_counts')
    .select((eb) => eb.fn.max('at').as('at'))
    .executeTakeFirst()
  return row?.at == null ? undefined : Number(row.at)
}

/** All counts since a moment, in its order. */
export async function countsSince(db: Db, since: number): Promise<StaleCount[]> {
  return db
    .selectFrom('device_list_counts')
    .selectAll()
    .where('at', '>=', since)
    .orderBy('at')
    .orderBy('reason')
    .orderBy('age')
    .execute()
}

export async function forgetCounts(db: Db, before: number): Promise<void> {
  await db.deleteFrom('device_list_counts').where('at', '<', before).execute()
}
