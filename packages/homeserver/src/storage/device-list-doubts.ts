import { sql } from 'kysely'
import type { ServerName, UserId } from '../matrix/ids.ts'
import type { LedgerRow } from './device-lists.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** What is new about a list after a doubt. */
export type Doubt = { userId: UserId; serverName: ServerName; reason: string; now: number; nextAttemptAt: number }

/**
 * The columns of a row about which a doubt is raised. The oldest doubt that stands keeps reason and age, and the list stays
 * due when it was if that is sooner; a user whom the remote refuses keeps waiting, whatever its server says of them.
 */
export function raised(doubt: { reason: string; now: number; nextAttemptAt: number }) {
  const stale = sql`device_lists.wanted_gen > device_lists.synced_gen`
  return {
    wanted_gen: sql<number>`device_lists.wanted_gen + 1`,
    reason: sql<string>`case when ${stale} then device_lists.reason else ${text(doubt.reason)} end`,
    doubted_at: sql<number>`case when ${stale} then device_lists.doubted_at else ${time(doubt.now)} end`,
    next_attempt_at: sql<number>`case when ${stale}
      and (device_lists.refused = 1 or device_lists.next_attempt_at < ${time(doubt.nextAttemptAt)})
      then device_lists.next_attempt_at else ${time(doubt.nextAttemptAt)} end`,
  }
}

// PostgreSQL cannot tell what a parameter among nothing but cases is.
const text = (value: string) => sql<string>`cast(${value} as text)`
const time = (value: number) => sql<number>`cast(${value} as bigint)`

const upsertDoubt = prepared<Doubt, LedgerRow>((db, value) =>
  db
    .insertInto('device_lists')
    .values({
      user_id: value('userId'),
      server_name: value('serverName'),
      wanted_gen: 1,
      synced_gen: 0,
      tracked: 0,
      reason: value('reason'),
      doubted_at: value('now'),
      attempts: 0,
      attempts_ended: 0,
      next_attempt_at: value('nextAttemptAt'),
      refused: 0,
    })
    .onConflict((conflict) =>
      conflict.column('user_id').doUpdateSet(
        raised({
          reason: value('reason'),
          now: value('now'),
          nextAttemptAt: value('nextAttemptAt'),
        }),
      ),
    )
    .returningAll(),
)

/**
 * Raises a doubt: one generation more is wanted, and the list is due at `nextAttemptAt` unless it is due sooner.
 * The first doubt that still stands gives the reason and the age. Makes the row where there is none.
 * @returns the row as it is now
 */
export async function raiseDoubt(db: Db, doubt: Doubt): Promise<LedgerRow> {
  return (await upsertDoubt(db, doubt)).rows[0]!
}

/**
 * The same for many users at once, each named once. The caller sees to it that they are not too many for one statement.
 * @returns those whose lists were fresh until now, or never there
 */
export async function raiseDoubts(
  db: Db,
  users: readonly { userId: UserId; serverName: ServerName }[],
  doubt: Omit<Doubt, 'userId' | 'serverName'>,
): Promise<UserId[]> {
  if (users.length === 0) return []
  const rows = await db
    .insertInto('device_lists')
    .values(
      users.map(({ userId, serverName }) => ({
        user_id: userId,
        server_name: serverName,
        wanted_gen: 1,
        synced_gen: 0,
        tracked: 0,
        reason: doubt.reason,
        doubted_at: doubt.now,
        attempts: 0,
        attempts_ended: 0,
        next_attempt_at: doubt.nextAttemptAt,
        refused: 0,
      })),
    )
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet(raised(doubt)))
    .returning(['user_id', 'wanted_gen', 'synced_gen'])
    .execute()
  return rows.filter((row) => row.wanted_gen === row.synced_gen + 1).map((row) => row.user_id)
}
