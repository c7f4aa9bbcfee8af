import type { Selectable } from 'kysely'
import type { Db } from './store.ts'
import type { UiaSessionsTable } from './tables.ts'

/** One user-interactive authentication; `completed` and `state` are JSON. */
export type UiaSessionRow = Selectable<UiaSessionsTable>

/** A session begun after `since` (epoch ms). */
export async function findUiaSession(db: Db, sessionId: string, since: number): Promise<UiaSessionRow | undefined> {
  return db
    .selectFrom('uia_sessions')
    .selectAll()
    .where('session_id', '=', sessionId)
    .where('created_at', '>', since)
    .executeTakeFirst()
}

/** Writes a session, new or known. */
export async function putUiaSession(db: Db, session: UiaSessionRow): Promise<void> {
  const { completed, state } = session
  await db
    .insertInto('uia_sessions')
    .values(session)
    .onConflict((conflict) => conflict.column('session_id').doUpdateSet({ completed, state }))
    .execute()
}

/**
 * The state of a session, which is the caller's alone until its transaction ends.
 * @returns `undefined` if the session is gone
 */
export async function lockUiaState(db: Db, sessionId: string): Promise<string | undefined> {
  const row = await db
    .updateTable('uia_sessions')
    .set((eb) => ({ state: eb.ref('state') }))
    .where('session_id', '=', sessionId)
    .returning('state')
    .executeTakeFirst()
  return row?.state
}

/** Replaces the state of a session. */
export async function setUiaState(db: Db, sessionId: string, state: string): Promise<void> {
  await db.updateTable('uia_sessions').set({ state }).where('session_id', '=', sessionId).execute()
}

export async function removeUiaSession(db: Db, sessionId: string): Promise<void> {
  await db.deleteFrom('uia_sessions').where('session_id', '=', sessionId).execute()
}

/** Removes the sessions begun at `before` (epoch ms) or earlier, and the oldest of more than `limit`. */
export async function trimUiaSessions(db: Db, before: number, limit: number): Promise<void> {
  const firstTooMany = db
    .selectFrom('uia_sessions')
    .select('created_at')
    .orderBy('created_at', 'desc')
    .offset(limit)
    .limit(1)
  await db
    .deleteFrom('uia_sessions')
    .where((eb) => eb.or([eb('created_at', '<=', before), eb('created_at', '<=', firstTooMany)]))
    .execute()
}
