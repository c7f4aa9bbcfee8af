import type { Kysely } from 'kysely'

/**
 * Accounts that an admin has locked or suspended.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const name of ['locked', 'suspended'])
    await db.schema
      .alterTable('users')
      .addColumn(name, 'integer', (c) => c.notNull().defaultTo(0))
      .execute()
}
