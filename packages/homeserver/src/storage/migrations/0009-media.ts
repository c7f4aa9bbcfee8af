import type { Kysely } from 'kysely'

/**
 * Media: what our users have uploaded, and copies of what they have looked at on other servers. The bytes are files.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('media')
    .addColumn('server_name', 'text', (c) => c.notNull())
    .addColumn('media_id', 'text', (c) => c.notNull())
    // Who uploaded it here; null for a copy.
    .addColumn('user_id', 'text')
    // All three null until what was announced is uploaded.
    .addColumn('content_type', 'text')
    .addColumn('size', 'bigint')
    .addColumn('file_name', 'text')
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('used_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('media_pk', ['server_name', 'media_id'])
    .execute()
  await db.schema.createIndex('media_by_user').on('media').columns(['user_id', 'size']).execute()
  await db.schema.createIndex('media_by_use').on('media').column('used_at').execute()
}
