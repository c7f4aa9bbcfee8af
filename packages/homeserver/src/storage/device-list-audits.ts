import type { ServerName, UserId } from '../matrix/ids.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** A list that is due to be compared with the remote's. */
export type AuditedList = { user_id: UserId; digest: string | null; confirmed_at: number | null }

const fresh = (db: Db) =>
  db.selectFrom('device_lists').where('tracked', '=', 1).whereRef('wanted_gen', '=', 'synced_gen')

/** Servers with lists that are to be audited by now. Looks at the `limit` lists that have waited the longest. */
export async function serversToAudit(db: Db, now: number, limit: number): Promise<ServerName[]> {
  const rows = await fresh(db)
    .select('server_name')
    .where('audit_at', '<=', now)
    .orderBy('audit_at')
    .limit(limit)
    .execute()
  return [...new Set(rows.map((row) => row.server_name))]
}

const selectNext = prepared<Record<never, never>, { audit_at: number }>((db) =>
  fresh(db).select('audit_at').orderBy('audit_at').limit(1),
)

/** When the next list is to be audited (epoch ms); `undefined` if there is none. */
export async function nextAudit(db: Db): Promise<number | undefined> {
  return (await selectNext(db, {})).rows[0]?.audit_at
}

/** Lists of a server that are right as far as is known, to be audited before `before`; the longest waiting first. */
export async function listsToAudit(
  db: Db,
  serverName: ServerName,
  before: number,
  limit: number,
): Promise<AuditedList[]> {
  return fresh(db)
    .select(['user_id', 'digest', 'confirmed_at'])
    .where('server_name', '=', serverName)
    .where('audit_at', '<=', before)
    .orderBy('audit_at')
    .limit(limit)
    .execute()
}

/** Puts the audit of these lists off, for those whose time has not been moved meanwhile. @returns whose it was */
export async function claimAudits(
  db: Db,
  userIds: readonly UserId[],
  before: number,
  until: number,
): Promise<Set<UserId>> {
  const rows = await db
    .updateTable('device_lists')
    .set({ audit_at: until })
    .where('user_id', 'in', userIds)
    .where('audit_at', '<=', before)
    .returning('user_id')
    .execute()
  return new Set(rows.map((row) => row.user_id))
}

/** Sets when these lists are audited next. @param columns `confirmed_at` where they were found to be right */
export async function setAudits(
  db: Db,
  userIds: readonly UserId[],
  columns: { audit_at: number; confirmed_at?: number },
): Promise<void> {
  if (userIds.length === 0) return
  await db.updateTable('device_lists').set(columns).where('user_id', 'in', userIds).execute()
}

/** All lists of a server are to be audited by `now`. */
export async function auditServer(db: Db, serverName: ServerName, now: number): Promise<void> {
  await db
    .updateTable('device_lists')
    .set({ audit_at: now })
    .where('server_name', '=', serverName)
    .where('tracked', '=', 1)
    .where('audit_at', '>', now)
    .execute()
}

/** Servers with whose users a room is shared. */
export async function trackedServers(db: Db): Promise<ServerName[]> {
  const rows = await db.selectFrom('device_lists').select('server_name').distinct().where('tracked', '=', 1).execute()
  return rows.map((row) => row.server_name)
}
