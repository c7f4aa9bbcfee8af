import { type Kysely, sql } from 'kysely'
import { isPostgres } from '../dialect.ts'

/**
 * Typing, receipts, presence, and the EDUs that tell other servers of them.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createTypingTables(db)
  await createReceiptTables(db)
  await createPresenceTables(db)
  await createOutgoingTable(db)
}

async function createTypingTables(db: Kysely<unknown>): Promise<void> {
  // Who is typing now; told_at is when other servers were told last.
  await db.schema
    .createTable('typing')
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('expires_at', 'bigint', (c) => c.notNull())
    .addColumn('told_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('typing_pk', ['room_id', 'user_id'])
    .execute()
  await db.schema.createIndex('typing_by_expiry').on('typing').column('expires_at').execute()
  // When the list of a room changed last: it outlives the rows of those who have stopped.
  await db.schema
    .createTable('typing_rooms')
    .addColumn('room_id', 'text', (c) => c.primaryKey())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('typing_rooms_by_position').on('typing_rooms').column('position').execute()
}

async function createReceiptTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('receipts')
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('type', 'text', (c) => c.notNull())
    .addColumn('thread_id', 'text', (c) => c.notNull())
    .addColumn('event_id', 'text', (c) => c.notNull())
    .addColumn('event_position', 'bigint')
    .addColumn('ts', 'bigint', (c) => c.notNull())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('receipts_pk', ['room_id', 'user_id', 'type', 'thread_id'])
    .execute()
  await db.schema.createIndex('receipts_by_position').on('receipts').column('position').execute()
}

async function createPresenceTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('presence')
    .addColumn('user_id', 'text', (c) => c.primaryKey())
    .addColumn('presence', 'text', (c) => c.notNull())
    .addColumn('status_msg', 'text')
    .addColumn('last_active_at', 'bigint', (c) => c.notNull())
    .addColumn('currently_active', 'integer', (c) => c.notNull())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('told_at', 'bigint', (c) => c.notNull())
    .addColumn('due_at', 'bigint')
    .execute()
  await db.schema.createIndex('presence_by_position').on('presence').column('position').execute()
  await db.schema
    .createIndex('presence_by_due')
    .on('presence')
    .column('due_at')
    .where(sql.ref('due_at'), 'is not', null)
    .execute()
  // What each device of our users says of itself, and until when that holds.
  await db.schema
    .createTable('presence_devices')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('device_id', 'text', (c) => c.notNull())
    .addColumn('presence', 'text', (c) => c.notNull())
    .addColumn('expires_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('presence_devices_pk', ['user_id', 'device_id'])
    .execute()
}

async function createOutgoingTable(db: Kysely<unknown>): Promise<void> {
  const postgres = isPostgres(db)
  await db.schema
    .createTable('outgoing_edus')
    .addColumn('id', postgres ? 'bigserial' : 'integer', (c) =>
      postgres ? c.primaryKey() : c.primaryKey().autoIncrement(),
    )
    .addColumn('destination', 'text', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('content', 'text', (c) => c.notNull())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addUniqueConstraint('outgoing_edus_by_key', ['destination', 'key'])
    .execute()
  await db.schema.createIndex('outgoing_edus_in_order').on('outgoing_edus').columns(['destination', 'id']).execute()
}
