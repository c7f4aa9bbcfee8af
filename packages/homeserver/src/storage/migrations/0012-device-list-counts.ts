import type { Kysely } from 'kysely'

/**
 * How many lists were stale, every few minutes: by reason, and by the age of the doubt.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('device_list_counts')
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('age', 'integer', (c) => c.notNull())
    .addColumn('count', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_list_counts_pk', ['at', 'reason', 'age'])
    .execute()
}
