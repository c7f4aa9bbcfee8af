import { type Kysely, sql } from 'kysely'
import { isPostgres } from '../dialect.ts'

/**
 * Rooms: events, their state, who is in them, what other servers are owed.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createRoomTables(db)
  await createStateTables(db)
  await createMembershipTables(db)
  await createTrafficTables(db)
}

async function createRoomTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  // Whoever adds an event locks its room's row, which has all that the next event is built from.
  await table('rooms')
    .addColumn('room_id', 'text', (c) => c.primaryKey())
    .addColumn('version', 'text', (c) => c.notNull())
    // JSON: the events that no event follows yet, as [event ID, depth, state group after it].
    .addColumn('extremities', 'text', (c) => c.notNull())
    .addColumn('state_group', 'bigint')
    // The greatest depth of any event.
    .addColumn('depth', 'bigint', (c) => c.notNull())
    // Of the newest event, and the lowest that a backfilled event was given.
    .addColumn('last_position', 'bigint', (c) => c.notNull())
    .addColumn('oldest_position', 'bigint', (c) => c.notNull())
    .addColumn('published', 'integer', (c) => c.notNull().defaultTo(0))
    // Whether anybody may join or read it, as its state now says.
    .addColumn('is_open', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('rooms_published')
    .on('rooms')
    .column('room_id')
    .where(sql.ref('published'), '=', 1)
    .execute()

  await db.schema.createIndex('rooms_by_last_position').on('rooms').column('last_position').execute()

  await table('events')
    .addColumn('event_id', 'text', (c) => c.primaryKey())
    .addColumn('room_id', 'text', (c) => c.notNull())
    // The place in the stream; below zero for what was backfilled; null for an event outside of the graph that we
    // have, known because another one is authorized by it or names it in its state.
    .addColumn('position', 'bigint')
    .addColumn('depth', 'bigint', (c) => c.notNull())
    .addColumn('type', 'text', (c) => c.notNull())
    .addColumn('state_key', 'text')
    .addColumn('sender', 'text', (c) => c.notNull())
    .addColumn('origin_server_ts', 'bigint', (c) => c.notNull())
    .addColumn('status', 'text', (c) => c.notNull())
    .addColumn('state_before', 'bigint')
    .addColumn('state_after', 'bigint')
    // The wire form as JSON; replaced by its redacted form when the event is redacted.
    .addColumn('pdu', 'text', (c) => c.notNull())
    .addColumn('redacts', 'text')
    .addColumn('redacted_by', 'text')
    .addColumn('relates_to', 'text')
    .addColumn('rel_type', 'text')
    .execute()
  await db.schema.createIndex('events_by_position').on('events').columns(['room_id', 'position']).execute()
  await db.schema.createIndex('events_by_depth').on('events').columns(['room_id', 'depth', 'position']).execute()
  await db.schema
    .createIndex('events_by_time')
    .on('events')
    .columns(['room_id', 'origin_server_ts'])
    .where(sql.ref('position'), 'is not', null)
    .execute()
  await db.schema
    .createIndex('events_in_threads')
    .on('events')
    .columns(['room_id', 'relates_to'])
    .where(sql.ref('rel_type'), '=', sql.lit('m.thread'))
    .execute()
  for (const column of ['redacts', 'relates_to']) {
    await db.schema
      .createIndex(`events_by_${column}`)
      .on('events')
      .column(column)
      .where(sql.ref(column), 'is not', null)
      .execute()
  }

  // Of state events only: nothing else authorizes.
  await table('event_auth')
    .addColumn('event_id', 'text', (c) => c.notNull())
    .addColumn('auth_id', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('event_auth_pk', ['event_id', 'auth_id'])
    .execute()
  // Events that one of ours follows and that we do not have: from here, history can be asked for.
  await table('missing_events')
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('event_id', 'text', (c) => c.notNull())
    .addColumn('depth', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('missing_events_pk', ['room_id', 'event_id'])
    .execute()
}

async function createStateTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  const postgres = isPostgres(db)
  // A state: all entries (prev_id null), or those in which it differs from prev_id. JSON: [type, state key, event ID],
  // the event ID null where an entry is gone. `hops` counts the way to the one that has all.
  await table('state_groups')
    .addColumn('id', postgres ? 'bigserial' : 'integer', (c) =>
      postgres ? c.primaryKey() : c.primaryKey().autoIncrement(),
    )
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('prev_id', 'bigint')
    .addColumn('hops', 'integer', (c) => c.notNull())
    .addColumn('entries', 'text', (c) => c.notNull())
    .execute()
  // The state now, without members, who are in `memberships`.
  await table('current_state')
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('type', 'text', (c) => c.notNull())
    .addColumn('state_key', 'text', (c) => c.notNull())
    .addColumn('event_id', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('current_state_pk', ['room_id', 'type', 'state_key'])
    .execute()
  // How the state now came to be what it is. Not written for what a room was like when we joined it.
  await table('state_changes')
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('type', 'text', (c) => c.notNull())
    .addColumn('state_key', 'text', (c) => c.notNull())
    .addColumn('event_id', 'text')
    .addColumn('prev_event_id', 'text')
    .addColumn('membership', 'text')
    .addColumn('prev_membership', 'text')
    .addPrimaryKeyConstraint('state_changes_pk', ['room_id', 'position', 'type', 'state_key'])
    .execute()
  await db.schema
    .createIndex('membership_changes_by_user')
    .on('state_changes')
    .columns(['state_key', 'position'])
    .where(sql.ref('membership'), 'is not', null)
    .execute()
  await db.schema
    .createIndex('membership_changes_by_position')
    .on('state_changes')
    .column('position')
    .where(sql.ref('membership'), 'is not', null)
    .execute()
}

async function createMembershipTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  await table('memberships')
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('server_name', 'text', (c) => c.notNull())
    .addColumn('is_local', 'integer', (c) => c.notNull())
    .addColumn('membership', 'text', (c) => c.notNull())
    .addColumn('event_id', 'text', (c) => c.notNull())
    .addColumn('sender', 'text', (c) => c.notNull())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('display_name', 'text')
    .addColumn('avatar_url', 'text')
    .addColumn('forgotten', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('memberships_pk', ['room_id', 'user_id'])
    .execute()
  await db.schema.createIndex('memberships_by_user').on('memberships').columns(['user_id', 'membership']).execute()
  await db.schema
    .createIndex('memberships_by_server')
    .on('memberships')
    .columns(['room_id', 'membership', 'server_name'])
    .execute()
  await db.schema
    .createIndex('memberships_local_by_position')
    .on('memberships')
    .columns(['user_id', 'position'])
    .where(sql.ref('is_local'), '=', 1)
    .execute()
  await db.schema
    .createIndex('memberships_local')
    .on('memberships')
    .columns(['room_id', 'membership', 'user_id'])
    .where(sql.ref('is_local'), '=', 1)
    .execute()
  // What an invitation, or a knock, shows of a room that its user is not in. JSON array.
  await table('stripped_state')
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('events', 'text', (c) => c.notNull())
    // The server that showed it, which is in the room.
    .addColumn('told_by', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('stripped_state_pk', ['room_id', 'user_id'])
    .execute()
  // Users whose accounts are closed, and who have yet to leave their rooms.
  await table('departures')
    .addColumn('user_id', 'text', (c) => c.primaryKey())
    .addColumn('due_at', 'bigint', (c) => c.notNull())
    .execute()
  await table('room_aliases')
    .addColumn('alias', 'text', (c) => c.primaryKey())
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addColumn('creator', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('room_aliases_by_room').on('room_aliases').column('room_id').execute()
}

async function createTrafficTables(db: Kysely<unknown>): Promise<void> {
  const table = (name: string) => db.schema.createTable(name)
  // `scope` is the endpoint with its room: the same transaction ID elsewhere is another transaction.
  await table('event_transactions')
    .addColumn('user_id', 'text', (c) => c.notNull())
    .addColumn('device_id', 'text', (c) => c.notNull())
    .addColumn('scope', 'text', (c) => c.notNull())
    .addColumn('txn_id', 'text', (c) => c.notNull())
    .addColumn('event_id', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('event_transactions_pk', ['user_id', 'device_id', 'scope', 'txn_id'])
    .execute()
  await db.schema.createIndex('event_transactions_by_event').on('event_transactions').column('event_id').execute()
  await db.schema.createIndex('event_transactions_by_age').on('event_transactions').column('created_at').execute()
  await table('outgoing_events')
    .addColumn('destination', 'text', (c) => c.notNull())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('event_id', 'text', (c) => c.notNull())
    .addColumn('room_id', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('outgoing_events_pk', ['destination', 'position'])
    .execute()
}
