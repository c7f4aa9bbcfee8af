import type { ExpressionBuilder, Selectable } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'
import type { KeyBackupSessionsTable, KeyBackupsTable, Tables } from './tables.ts'

export type KeyBackupRow = Selectable<KeyBackupsTable>
export type KeyBackupSessionRow = Selectable<KeyBackupSessionsTable>

/** One backup of a user. */
export type BackupKey = { userId: UserId; version: number }
/** Some of its sessions: those of one room, one session, or all. */
export type SessionsOf = BackupKey & { roomId?: string | undefined; sessionId?: string | undefined }

/** Rows of one statement, so that it stays under the number of parameters that a database takes. */
const ROWS_AT_ONCE = 100

/** The backup of a user that was made last and not deleted since; or a certain one. */
export async function findBackup(db: Db, userId: UserId, version?: number): Promise<KeyBackupRow | undefined> {
  return db
    .selectFrom('key_backups')
    .selectAll()
    .where('user_id', '=', userId)
    .where('deleted', '=', 0)
    .$if(version !== undefined, (query) => query.where('version', '=', version!))
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/** Adds a backup under the next version number. @returns that number */
export async function addBackup(
  db: Db,
  backup: { userId: UserId; algorithm: string; authData: string },
): Promise<number> {
  const { userId, algorithm, authData } = backup
  const { version } = await db
    .insertInto('key_backups')
    .columns(['user_id', 'version', 'algorithm', 'auth_data', 'etag', 'deleted'])
    .expression((eb) =>
      eb
        .selectFrom('key_backups')
        .select((of) => [
          of.val(userId).as('user_id'),
          of(of.fn.coalesce(of.fn.max('version'), of.lit(0)), '+', 1).as('version'),
          of.val(algorithm).as('algorithm'),
          of.val(authData).as('auth_data'),
          of.lit(0).as('etag'),
          of.lit(0).as('deleted'),
        ])
        .where('user_id', '=', userId),
    )
    .returning('version')
    .executeTakeFirstOrThrow()
  return version
}

export async function setBackupAuthData(db: Db, { userId, version }: BackupKey, authData: string): Promise<void> {
  await db
    .updateTable('key_backups')
    .set({ auth_data: authData })
    .where('user_id', '=', userId)
    .where('version', '=', version)
    .execute()
}

/** Deletes a backup with its sessions. */
export async function deleteBackup(db: Db, backup: BackupKey): Promise<void> {
  await deleteSessions(db, backup)
  await db
    .updateTable('key_backups')
    .set({ deleted: 1, auth_data: '{}' })
    .where('user_id', '=', backup.userId)
    .where('version', '=', backup.version)
    .execute()
}

/** Deletes everything that a user has backed up. */
export async function deleteAllBackups(db: Db, userId: UserId): Promise<void> {
  await db.deleteFrom('key_backup_sessions').where('user_id', '=', userId).execute()
  await db.deleteFrom('key_backups').where('user_id', '=', userId).execute()
}

/** Raises the etag of a backup; whoever did holds it until the transaction ends. @returns the new one */
export async function raiseEtag(db: Db, { userId, version }: BackupKey, by: 0 | 1): Promise<number> {
  const { etag } = await db
    .updateTable('key_backups')
    .set((eb) => ({ etag: eb('etag', '+', by) }))
    .where('user_id', '=', userId)
    .where('version', '=', version)
    .returning('etag')
    .executeTakeFirstOrThrow()
  return etag
}

export async function countSessions(db: Db, { userId, version }: BackupKey): Promise<number> {
  const { count } = await db
    .selectFrom('key_backup_sessions')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .where('version', '=', version)
    .executeTakeFirstOrThrow()
  return Number(count)
}

export async function findSessions(db: Db, wanted: SessionsOf): Promise<KeyBackupSessionRow[]> {
  return db.selectFrom('key_backup_sessions').selectAll().where(matching(wanted)).execute()
}

/** How good the kept keys of these sessions are. */
export type SessionQuality = Omit<KeyBackupSessionRow, 'session_data' | 'user_id' | 'version'>

export async function sessionQualities(
  db: Db,
  { userId, version }: BackupKey,
  sessionIds: readonly string[],
): Promise<SessionQuality[]> {
  const found: SessionQuality[] = []
  for (let from = 0; from < sessionIds.length; from += ROWS_AT_ONCE) {
    const rows = await db
      .selectFrom('key_backup_sessions')
      .select(['room_id', 'session_id', 'first_message_index', 'forwarded_count', 'is_verified'])
      .where('user_id', '=', userId)
      .where('version', '=', version)
      .where('session_id', 'in', sessionIds.slice(from, from + ROWS_AT_ONCE))
      .execute()
    found.push(...rows)
  }
  return found
}

/** Adds sessions, or replaces them. */
export async function putSessions(db: Db, rows: readonly KeyBackupSessionRow[]): Promise<void> {
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    await db
      .insertInto('key_backup_sessions')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .onConflict((conflict) =>
        conflict.columns(['user_id', 'version', 'room_id', 'session_id']).doUpdateSet((eb) => ({
          first_message_index: eb.ref('excluded.first_message_index'),
          forwarded_count: eb.ref('excluded.forwarded_count'),
          is_verified: eb.ref('excluded.is_verified'),
          session_data: eb.ref('excluded.session_data'),
        })),
      )
      .execute()
  }
}

/** @returns how many sessions there were */
export async function deleteSessions(db: Db, wanted: SessionsOf): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('key_backup_sessions')
    .where(matching(wanted))
    .executeTakeFirstOrThrow()
  return Number(numDeletedRows)
}

function matching({ userId, version, roomId, sessionId }: SessionsOf) {
  return (eb: ExpressionBuilder<Tables, 'key_backup_sessions'>) =>
    eb.and([
      eb('user_id', '=', userId),
      eb('version', '=', version),
      ...(roomId === undefined ? [] : [eb('room_id', '=', roomId)]),
      ...(sessionId === undefined ? [] : [eb('session_id', '=', sessionId)]),
    ])
}
