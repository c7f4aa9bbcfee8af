import { type Kysely, sql } from 'kysely'
import { isPostgres } from '../dialect.ts'

/**
 * What is searched in, and what users report.
 * @public Kysely's migrator calls it
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createSearchTables(db)
  await createReportsTable(db)
}

async function createSearchTables(db: Kysely<unknown>): Promise<void> {
  const postgres = isPostgres(db)
  // One row for each event with words in it; the words themselves are in an index that each database has its own kind of.
  let texts = db.schema
    .createTable('event_texts')
    .addColumn('id', postgres ? 'bigserial' : 'integer', (c) =>
      postgres ? c.primaryKey() : c.primaryKey().autoIncrement(),
    )
    .addColumn('event_id', 'text', (c) => c.notNull().unique())
    .addColumn('room_id', 'text', (c) => c.notNull())
    // Where in the event they stand, such as content.body.
    .addColumn('place', 'text', (c) => c.notNull())
    .addColumn('origin_server_ts', 'bigint', (c) => c.notNull())
  if (postgres) texts = texts.addColumn('words', sql`tsvector`, (c) => c.notNull())
  await texts.execute()
  if (postgres)
    await db.schema.createIndex('event_texts_words').on('event_texts').using('gin').column('words').execute()
  // The row ID is that of the row in event_texts. No copy of the text is kept.
  else await sql`create virtual table event_words using fts5(words, content='', contentless_delete=1)`.execute(db)
}

async function createReportsTable(db: Kysely<unknown>): Promise<void> {
  const postgres = isPostgres(db)
  // Of an event in a room, of a room, or of a user.
  await db.schema
    .createTable('reports')
    .addColumn('id', postgres ? 'bigserial' : 'integer', (c) =>
      postgres ? c.primaryKey() : c.primaryKey().autoIncrement(),
    )
    .addColumn('reporter', 'text', (c) => c.notNull())
    .addColumn('room_id', 'text')
    .addColumn('event_id', 'text')
    .addColumn('user_id', 'text')
    .addColumn('reason', 'text')
    .addColumn('score', 'integer')
    .addColumn('reported_at', 'bigint', (c) => c.notNull())
    .execute()
}
