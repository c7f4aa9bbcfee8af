import { type Kysely, sql } from 'kysely'
import { isPostgres } from '../dialect.ts'

/**
 * When lists are audited, which servers were suspected lately, and what each list went through.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('device_lists')
    .addColumn('audit_at', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
  // When the list was last known to be the owner's own: fetched, updated without a gap, or audited.
  await db.schema.alterTable('device_lists').addColumn('confirmed_at', 'bigint').execute()
  for (const [name, columns] of [
    ['device_lists_by_audit', ['audit_at']],
    ['device_lists_by_server_and_audit', ['server_name', 'audit_at']],
  ] as const) {
    await db.schema
      .createIndex(name)
      .on('device_lists')
      .columns([...columns])
      .where(sql.ref('tracked'), '=', sql.lit(1))
      .execute()
  }
  // When all lists of a server were doubted last.
  await db.schema
    .createTable('device_list_servers')
    .addColumn('server_name', 'text', (c) => c.primaryKey())
    .addColumn('suspected_at', 'bigint', (c) => c.notNull())
    .execute()
  const postgres = isPostgres(db)
  await db.schema
    .createTable('device_list_history')
    .addColumn('id', postgres ? 'bigserial' : 'integer', (c) =>
      postgres ? c.primaryKey() : c.primaryKey().autoIncrement(),
    )
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('event', 'text', (c) => c.notNull())
    .addColumn('detail', 'text')
    .execute()
  await db.schema
    .createIndex('device_list_history_of_user')
    .on('device_list_history')
    .columns(['user_id', 'id'])
    .execute()
  await db.schema.createIndex('device_list_history_by_age').on('device_list_history').column('at').execute()
}
