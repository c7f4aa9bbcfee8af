import { type RawBuilder, sql } from 'kysely'
import type { Db } from './store.ts'

// PostgreSQL alone: a server on SQLite is one process, whose memory knows what it has let through.

/** One key of one limit. */
type LimitKey = { name: string; key: string }
/** At most `limit` events in any `windowMs` milliseconds, seen from `now` (epoch ms). */
export type WindowTake = LimitKey & { limit: number; windowMs: number; now: number }
/** `count` tokens of a bucket that gets one whenever `intervalMs` are over and is full after `windowMs`. */
export type BucketTake = LimitKey & { count: number; intervalMs: number; windowMs: number; now: number }

/** The events of the row that count at `now`. Clocks of several processes differ a little, so some lie ahead. */
const counting = ({ windowMs, now }: Pick<WindowTake, 'windowMs' | 'now'>): RawBuilder<number[]> =>
  sql`array(select t from unnest(rate_windows.times) as t
    where t > ${now - windowMs}::bigint and t < ${now + windowMs}::bigint order by t)`

/** Counts one event if it fits. @returns whether it did */
export async function takeFromWindow(db: Db, take: WindowTake): Promise<boolean> {
  const { name, key, limit, windowMs, now } = take
  const { rows } = await sql`
    insert into rate_windows (name, key, times, until)
    values (${name}, ${key}, array[${now}::bigint], ${now + windowMs}::bigint)
    on conflict (name, key) do update set times = ${counting(take)} || excluded.times, until = excluded.until
    where cardinality(${counting(take)}) < ${limit}::int
    returning name`.execute(db)
  return rows.length > 0
}

/** When the events that still count happened (epoch ms), oldest first. */
export async function windowEvents(db: Db, window: Omit<WindowTake, 'limit'>): Promise<number[]> {
  const { rows } = await sql<{ times: string[] }>`
    select ${counting(window)} as times from rate_windows
    where name = ${window.name} and key = ${window.key}`.execute(db)
  return (rows[0]?.times ?? []).map(Number)
}

/** Takes tokens if there are so many. @returns 0, or the milliseconds until there will be one */
export async function takeFromBucket(db: Db, take: BucketTake): Promise<number> {
  const { name, key, count, intervalMs, windowMs, now } = take
  const full = now + windowMs
  const cost = count * intervalMs
  // No bucket is full later than in one window, give or take what clocks differ: that is from before the clock jumped.
  const until = sql`case when rate_buckets.full_at > ${full + windowMs}::float8 then ${now}::float8
    else greatest(rate_buckets.full_at, ${now}::float8) end`
  const { rows } = await sql`
    insert into rate_buckets (name, key, full_at) values (${name}, ${key}, ${now + cost}::float8)
    on conflict (name, key) do update set full_at = ${until} + ${cost}::float8
    where ${until} + ${cost}::float8 <= ${full}::float8 + 0.001
    returning name`.execute(db)
  if (rows.length > 0) return 0
  const left = await sql<{ full_at: number }>`
    select full_at from rate_buckets where name = ${name} and key = ${key}`.execute(db)
  return Math.max(1, Math.ceil((left.rows[0]?.full_at ?? now) + intervalMs - full))
}

/** Forgets what has no effect any more at `now` (epoch ms). */
export async function forgetLimits(db: Db, now: number): Promise<void> {
  await sql`delete from rate_buckets where full_at <= ${now}::float8`.execute(db)
  await sql`delete from rate_windows where until <= ${now}::bigint`.execute(db)
}
