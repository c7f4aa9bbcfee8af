import { type Kysely, sql } from 'kysely'
import { isPostgres } from '../dialect.ts'

/**
 * What has been let through lately, where several processes share one server. With SQLite there is one process, whose memory
 * does. The tables are unlogged: a crash of the database forgets limits, and writing them costs little.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (!isPostgres(db)) return
  // When the bucket is full again; times in epoch milliseconds.
  await sql`create unlogged table rate_buckets (
    name text not null, key text not null, full_at double precision not null, primary key (name, key))`.execute(db)
  await sql`create index rate_buckets_by_age on rate_buckets (full_at)`.execute(db)
  await sql`create unlogged table rate_windows (
    name text not null, key text not null, times bigint[] not null, until bigint not null, primary key (name, key))`.execute(
    db,
  )
  await sql`create index rate_windows_by_age on rate_windows (until)`.execute(db)
}
