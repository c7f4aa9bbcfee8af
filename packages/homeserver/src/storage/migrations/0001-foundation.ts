import { type CreateTableBuilder, type Kysely, sql } from 'kysely'
import { isPostgres } from '../dialect.ts'

/**
 * Accounts, devices and keys, to-device messages, federation, device lists.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)

  // The server name, fixed once there is data, and other facts about this server.
  await table('server_info')
    .addColumn('name', 'text', (c) => c.primaryKey())
    .addColumn('value', 'text', (c) => c.notNull())
    .execute()
  await table('signing_keys')
    .addColumn('key_id', 'text', (c) => c.primaryKey())
    .addColumn('seed', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('expired_at', 'bigint')
    .execute()
  // One row. Whoever writes something that /sync shows takes the next position inside its transaction.
  await table('stream_position')
    .addColumn('id', 'integer', (c) => c.primaryKey())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .execute()
  await sql`insert into stream_position (id, position) values (1, 1)`.execute(db)

  await createAccountTables(db)
  await createDeviceTables(db)
  await createToDeviceTables(db)
  await createFederationTables(db)
  await createDeviceListTables(db)
}

async function createAccountTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  await table('users')
    .addColumn('user_id', 'text', (c) => c.primaryKey())
    .addColumn('password_hash', 'text')
    .addColumn('is_admin', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('is_guest', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('deactivated_at', 'bigint')
    .execute()
  await table('profile_fields')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('value', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('profile_fields_pk', ['user_id', 'name'])
    .execute()
  // room_id is empty for global account data.
  await table('account_data')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('type', 'text', (c) => c.notNull())
    .addColumn('content', 'text', (c) => c.notNull())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('account_data_pk', ['user_id', 'room_id', 'type'])
    .execute()
  await db.schema.createIndex('account_data_by_position').on('account_data').columns(['user_id', 'position']).execute()
  await table('filters')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('filter_id', 'text', (c) => c.notNull())
    .addColumn('definition', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('filters_pk', ['user_id', 'filter_id'])
    .execute()
  await table('registration_tokens')
    .addColumn('token', 'text', (c) => c.primaryKey())
    .addColumn('uses_allowed', 'bigint')
    .addColumn('uses', 'bigint', (c) => c.notNull().defaultTo(0))
    .addColumn('expires_at', 'bigint')
    .addColumn('makes_admin', 'integer', (c) => c.notNull().defaultTo(0))
    .execute()
  await table('uia_sessions')
    .addColumn('session_id', 'text', (c) => c.primaryKey())
    .addColumn('purpose', 'text', (c) => c.notNull())
    .addColumn('completed', 'text', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('uia_sessions_by_age').on('uia_sessions').column('created_at').execute()
}

async function createDeviceTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  await table('devices')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('device_id', 'text', (c) => c.notNull())
    .addColumn('display_name', 'text')
    .addColumn('device_keys', 'text')
    .addColumn('last_seen_ip', 'text')
    .addColumn('last_seen_at', 'bigint')
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('devices_pk', ['user_id', 'device_id'])
    .execute()
  // Tokens are kept as SHA-256, so that a copy of the database opens no session.
  await ofDevice('access_tokens', table('access_tokens'))
    .addColumn('token_hash', 'text', (c) => c.primaryKey())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('access_tokens_by_device').on('access_tokens').columns(['user_id', 'device_id']).execute()
  await ofDevice('one_time_keys', table('one_time_keys'))
    .addColumn('algorithm', 'text', (c) => c.notNull())
    .addColumn('key_id', 'text', (c) => c.notNull())
    .addColumn('ordinal', 'bigint', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('one_time_keys_pk', ['user_id', 'device_id', 'algorithm', 'key_id'])
    .execute()
  await db.schema
    .createIndex('one_time_keys_in_order')
    .on('one_time_keys')
    .columns(['user_id', 'device_id', 'algorithm', 'ordinal'])
    .execute()
  await ofDevice('fallback_keys', table('fallback_keys'))
    .addColumn('algorithm', 'text', (c) => c.notNull())
    .addColumn('key_id', 'text', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('used', 'integer', (c) => c.notNull().defaultTo(0))
    .addPrimaryKeyConstraint('fallback_keys_pk', ['user_id', 'device_id', 'algorithm'])
    .execute()
  await table('cross_signing_keys')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('usage', 'text', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('cross_signing_keys_pk', ['user_id', 'usage'])
    .execute()
  // Signatures by one user's user-signing key on another user's master key: shown to the signer alone.
  await table('key_signatures')
    .addColumn('signer', 'text', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('target', 'text', (c) => c.notNull())
    .addColumn('signatures', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('key_signatures_pk', ['signer', 'user_id', 'target'])
    .execute()
}

async function createToDeviceTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  await ofDevice('device_messages', withId(db, 'device_messages'))
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('message', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('device_messages_in_order')
    .on('device_messages')
    .columns(['user_id', 'device_id', 'position', 'id'])
    .execute()
  await ofDevice('to_device_transactions', table('to_device_transactions'))
    .addColumn('txn_id', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('to_device_transactions_pk', ['user_id', 'device_id', 'txn_id'])
    .execute()
  await table('received_device_messages')
    .addColumn('origin', 'text', (c) => c.notNull())
    .addColumn('message_id', 'text', (c) => c.notNull())
    .addColumn('received_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('received_device_messages_pk', ['origin', 'message_id'])
    .execute()
  await withId(db, 'outgoing_device_messages')
    .addColumn('destination', 'text', (c) => c.notNull())
    .addColumn('content', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('outgoing_device_messages_in_order')
    .on('outgoing_device_messages')
    .columns(['destination', 'id'])
    .execute()
  for (const [name, column] of [
    ['to_device_transactions', 'created_at'],
    ['received_device_messages', 'received_at'],
  ] as const) {
    await db.schema.createIndex(`${name}_by_age`).on(name).column(column).execute()
  }
}

async function createFederationTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  await table('server_keys')
    .addColumn('server_name', 'text', (c) => c.notNull())
    .addColumn('key_id', 'text', (c) => c.notNull())
    .addColumn('public_key', 'text', (c) => c.notNull())
    .addColumn('valid_until', 'bigint', (c) => c.notNull())
    // The server signs nothing with it any more: it is good for events of before `valid_until` alone.
    .addColumn('is_old', 'integer', (c) => c.notNull())
    .addColumn('fetched_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('server_keys_pk', ['server_name', 'key_id'])
    .execute()
  await table('destinations')
    .addColumn('server_name', 'text', (c) => c.primaryKey())
    .addColumn('failures', 'bigint', (c) => c.notNull().defaultTo(0))
    .addColumn('failing_since', 'bigint')
    .addColumn('next_attempt_at', 'bigint')
    .addColumn('retry_after_until', 'bigint')
    .addColumn('last_error', 'text')
    .addColumn('last_success_at', 'bigint')
    .addColumn('last_heard_at', 'bigint')
    .execute()
  // Which process sends to a destination, and until when it alone does.
  await table('sender_leases')
    .addColumn('destination', 'text', (c) => c.primaryKey())
    .addColumn('holder', 'text', (c) => c.notNull())
    .addColumn('until', 'bigint', (c) => c.notNull())
    .execute()
  await table('received_transactions')
    .addColumn('origin', 'text', (c) => c.notNull())
    .addColumn('txn_id', 'text', (c) => c.notNull())
    .addColumn('response', 'text', (c) => c.notNull())
    .addColumn('received_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('received_transactions_pk', ['origin', 'txn_id'])
    .execute()
  await db.schema
    .createIndex('received_transactions_by_age')
    .on('received_transactions')
    .column('received_at')
    .execute()
}

async function createDeviceListTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  // The stream ID that GET /user/devices answers for our own users.
  await table('local_device_lists')
    .addColumn('user_id', 'text', (c) => c.primaryKey())
    .addColumn('stream_id', 'bigint', (c) => c.notNull())
    .execute()
  await withId(db, 'outgoing_device_updates')
    .addColumn('destination', 'text', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('device_id', 'text', (c) => c.notNull())
    .addColumn('stream_id', 'bigint', (c) => c.notNull())
    .addColumn('prev_stream_id', 'bigint', (c) => c.notNull())
    .addUniqueConstraint('outgoing_device_updates_once', ['destination', 'user_id', 'device_id'])
    .execute()
  // The ledger: one row per remote user, the only truth about their list. See docs/architecture.md.
  await table('device_lists')
    .addColumn('user_id', 'text', (c) => c.primaryKey())
    .addColumn('server_name', 'text', (c) => c.notNull())
    .addColumn('wanted_gen', 'bigint', (c) => c.notNull())
    .addColumn('synced_gen', 'bigint', (c) => c.notNull())
    .addColumn('tracked', 'integer', (c) => c.notNull())
    .addColumn('stream_id', 'bigint')
    .addColumn('digest', 'text')
    .addColumn('devices', 'bigint')
    .addColumn('synced_at', 'bigint')
    .addColumn('reason', 'text')
    .addColumn('doubted_at', 'bigint')
    .addColumn('attempts', 'bigint', (c) => c.notNull())
    .addColumn('attempts_ended', 'bigint', (c) => c.notNull())
    .addColumn('next_attempt_at', 'bigint', (c) => c.notNull())
    .addColumn('lease_until', 'bigint')
    .addColumn('lease_gen', 'bigint')
    .addColumn('last_error', 'text')
    .addColumn('refused', 'integer', (c) => c.notNull())
    .execute()
  // Only stale lists are in it, so it stays small however many lists there are.
  await db.schema
    .createIndex('device_lists_stale')
    .on('device_lists')
    .columns(['server_name', 'next_attempt_at'])
    .where(sql.ref('wanted_gen'), '>', sql.ref('synced_gen'))
    .execute()
  await table('device_list_snapshots')
    .addColumn('user_id', 'text', (c) => c.primaryKey())
    .addColumn('device_keys', 'text', (c) => c.notNull())
    .addColumn('keyless', 'text', (c) => c.notNull())
    .addColumn('master_key', 'text')
    .addColumn('self_signing_key', 'text')
    .execute()
  // Who asked for a list: told when it arrives (waiting = 1), shown its state for a day after asking.
  await table('device_list_waiters')
    .addColumn('requester', 'text', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('asked_at', 'bigint', (c) => c.notNull())
    .addColumn('waiting', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_list_waiters_pk', ['user_id', 'requester'])
    .execute()
  await db.schema
    .createIndex('device_list_waiters_by_age')
    .on('device_list_waiters')
    .columns(['requester', 'asked_at'])
    .execute()
  // For everybody who shares a room with user_id; and for one requester alone.
  await table('device_list_changes')
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_list_changes_pk', ['position', 'user_id'])
    .execute()
  await db.schema
    .createIndex('device_list_changes_by_user')
    .on('device_list_changes')
    .columns(['user_id', 'position'])
    .execute()
  await table('device_list_notices')
    .addColumn('requester', 'text', (c) => c.notNull())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_list_notices_pk', ['requester', 'position', 'user_id'])
    .execute()
}

/** A table whose rows belong to one of our devices and go when it goes. */
function ofDevice<T extends string, C extends string>(name: string, table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('device_id', 'text', (c) => c.notNull())
    .addForeignKeyConstraint(`${name}_device`, ['user_id', 'device_id'], 'devices', ['user_id', 'device_id'], (c) =>
      c.onDelete('cascade'),
    )
}

/** A table whose `id` counts up and is never given out twice. */
function withId(db: Kysely<unknown>, name: string) {
  const postgres = isPostgres(db)
  return db.schema
    .createTable(name)
    .addColumn('id', postgres ? 'bigserial' : 'integer', (c) =>
      postgres ? c.primaryKey() : c.primaryKey().autoIncrement(),
    )
}
