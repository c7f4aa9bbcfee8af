import { type Kysely, sql } from 'kysely'

/**
 * Tokens that expire and are renewed, tokens for one use, key backups, erasure; other servers' keys as they said them.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  await db.schema
    .alterTable('users')
    .addColumn('erased', 'integer', (c) => c.notNull().defaultTo(0))
    .execute()

  // A renewed token's row names the one that it replaces, which is good until the new one has been used.
  await db.schema.alterTable('access_tokens').addColumn('expires_at', 'bigint').execute()
  await db.schema.alterTable('access_tokens').addColumn('refresh_hash', 'text').execute()
  await db.schema.alterTable('access_tokens').addColumn('replaces', 'text').execute()
  for (const column of ['refresh_hash', 'replaces']) {
    await db.schema
      .createIndex(`access_tokens_by_${column}`)
      .unique()
      .on('access_tokens')
      .column(column)
      .where(sql.ref(column), 'is not', null)
      .execute()
  }

  // Kept as SHA-256, as access tokens are.
  await table('short_lived_tokens')
    .addColumn('token_hash', 'text', (c) => c.primaryKey())
    .addColumn('purpose', 'text', (c) => c.notNull())
    .addColumn('user_id', 'text')
    .addColumn('expires_at', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('short_lived_tokens_by_expiry')
    .on('short_lived_tokens')
    .columns(['purpose', 'expires_at'])
    .execute()

  // Other servers' own signed answers about their keys, for those who ask us about them.
  await table('notary_responses')
    .addColumn('server_name', 'text', (c) => c.notNull())
    .addColumn('key_id', 'text', (c) => c.notNull())
    .addColumn('response', 'text', (c) => c.notNull())
    .addColumn('valid_until', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('notary_responses_pk', ['server_name', 'key_id'])
    .execute()

  await table('key_backups')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('version', 'bigint', (c) => c.notNull())
    .addColumn('algorithm', 'text', (c) => c.notNull())
    .addColumn('auth_data', 'text', (c) => c.notNull())
    .addColumn('etag', 'bigint', (c) => c.notNull())
    // A version number is never given out twice, so a deleted backup leaves its row.
    .addColumn('deleted', 'integer', (c) => c.notNull().defaultTo(0))
    .addPrimaryKeyConstraint('key_backups_pk', ['user_id', 'version'])
    .execute()
  await table('key_backup_sessions')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('version', 'bigint', (c) => c.notNull())
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('session_id', 'text', (c) => c.notNull())
    .addColumn('first_message_index', 'bigint', (c) => c.notNull())
    .addColumn('forwarded_count', 'bigint', (c) => c.notNull())
    .addColumn('is_verified', 'integer', (c) => c.notNull())
    .addColumn('session_data', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('key_backup_sessions_pk', ['user_id', 'version', 'room_id', 'session_id'])
    .execute()
}
