import type { Kysely } from 'kysely'

/**
 * What a device says that it is: admins and its user are told.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('devices').addColumn('last_seen_user_agent', 'text').execute()
}
