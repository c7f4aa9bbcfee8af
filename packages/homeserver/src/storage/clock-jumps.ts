import { type Expression, sql } from 'kysely'
import { PARKED } from './device-lists.ts'
import type { Db } from './store.ts'

/**
 * The clock was set back: what was to wait until a time that is yet to come waits for so much less, as if the clock had gone on.
 * @param now epoch ms, as the clock shows it now
 * @param byMs how far it was set back
 */
export async function bringWaitsForward(db: Db, now: number, byMs: number): Promise<void> {
  const sooner = <Value>(column: Expression<Value>) =>
    sql<number>`case when ${column} - ${byMs} > ${now} then ${column} - ${byMs} else ${now} end`
  await db
    .updateTable('device_lists')
    .set((eb) => ({ next_attempt_at: sooner(eb.ref('next_attempt_at')) }))
    .where('next_attempt_at', '>', now)
    .where('next_attempt_at', '<', PARKED)
    .execute()
  await db
    .updateTable('device_lists')
    .set((eb) => ({ audit_at: sooner(eb.ref('audit_at')) }))
    .where('audit_at', '>', now)
    .execute()
  await db
    .updateTable('destinations')
    .set((eb) => ({ next_attempt_at: sooner(eb.ref('next_attempt_at')) }))
    .where('next_attempt_at', '>', now)
    .execute()
  await db
    .updateTable('destinations')
    .set((eb) => ({ retry_after_until: sooner(eb.ref('retry_after_until')) }))
    .where('retry_after_until', '>', now)
    .execute()
}

/**
 * Takes the one chance in a while to set right what waits.
 * @param since the last one must lie before this (epoch ms), or in the future
 * @returns whether the caller got it
 */
export async function takeSetBack(db: Db, now: number, since: number): Promise<boolean> {
  const row = { name: 'clock_set_back_at', value: String(now) }
  const at = sql`cast(server_info.value as bigint)`
  const taken = await db
    .insertInto('server_info')
    .values(row)
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet({ value: row.value })
        .where(sql<boolean>`(${at} < ${since} or ${at} > ${now})`),
    )
    .returning('name')
    .executeTakeFirst()
  return taken !== undefined
}
