import type { Selectable } from 'kysely'
import type { ServerName } from '../matrix/ids.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'
import type { DestinationsTable } from './tables.ts'

/** What is remembered of another server. */
export type DestinationRow = Selectable<DestinationsTable>

const selectDestination = prepared<{ serverName: ServerName }, DestinationRow>((db, value) =>
  db.selectFrom('destinations').selectAll().where('server_name', '=', value('serverName')),
)

/** @returns `undefined` for a server that nothing is remembered of */
export async function destinationRow(db: Db, serverName: ServerName): Promise<DestinationRow | undefined> {
  return (await selectDestination(db, { serverName })).rows[0]
}

/** Writes some columns of a server's row, making it where there is none. */
export async function writeDestination(
  db: Db,
  serverName: ServerName,
  columns: Partial<Omit<DestinationRow, 'server_name'>>,
): Promise<void> {
  await db
    .insertInto('destinations')
    .values({ server_name: serverName, failures: 0, ...columns })
    .onConflict((conflict) => conflict.column('server_name').doUpdateSet(columns))
    .execute()
}

/**
 * Claims the one probe that may go out to a server whose wait is over: whoever gets it has moved the wait on.
 * @returns whether this caller got it
 */
export async function claimProbe(db: Db, serverName: ServerName, now: number, until: number): Promise<boolean> {
  const result = await db
    .updateTable('destinations')
    .set({ next_attempt_at: until })
    .where('server_name', '=', serverName)
    .where('failures', '>', 0)
    .where('next_attempt_at', '<=', now)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Ends a server's failures. @returns whether it was this caller who ended them */
export async function endFailures(db: Db, serverName: ServerName): Promise<boolean> {
  const result = await db
    .updateTable('destinations')
    .set({ failures: 0 })
    .where('server_name', '=', serverName)
    .where('failures', '>', 0)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}
