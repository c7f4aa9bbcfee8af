import { badJson, invalidParam, MatrixError, notFound } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { entriesOf, isObject } from '../matrix/json.ts'
import * as storage from '../storage/key-backups.ts'
import type { Store, Tx } from '../storage/store.ts'
import { type BackedUpSession, isBackedUpSession, isBetterSession } from './backed-up-session.ts'

/** A backup as clients see it; `auth_data` is JSON text. */
export type Backup = { version: string; algorithm: string; authData: string; count: number; etag: string }

/** Which part of a backup: all of it, a room's sessions, or one. */
export type Part = { roomId?: string | undefined; sessionId?: string | undefined }

/** Sessions by room and session ID. */
export type Sessions = Map<string, Map<string, BackedUpSession>>

type State = { etag: string; count: number }

/** Client-server API, "Server-side key backups". Every function throws `M_NOT_FOUND` for a backup that there is not. */
export type KeyBackup = {
  create(userId: UserId, backup: { algorithm: string; authData: unknown }): Promise<string>
  /** @param version `undefined`: the newest */
  get(userId: UserId, version?: string): Promise<Backup>
  /** @throws `M_INVALID_PARAM` for another algorithm */
  update(userId: UserId, version: string, backup: { algorithm: string; authData: unknown }): Promise<void>
  delete(userId: UserId, version: string): Promise<void>
  /**
   * Keeps the sessions that are better than those that are there. @param body as the request for this part has it
   * @throws `M_WRONG_ROOM_KEYS_VERSION` for a version that is not the newest, `M_BAD_JSON`
   */
  putSessions(userId: UserId, version: string, part: Part, body: unknown): Promise<State>
  sessions(userId: UserId, version: string, part: Part): Promise<Sessions>
  deleteSessions(userId: UserId, version: string, part: Part): Promise<State>
  /** Forgets all backups of a user, as part of a transaction. */
  forget(tx: Tx, userId: UserId): Promise<void>
}

export function createKeyBackup(store: Store): KeyBackup {
  async function found(db: Tx['db'], userId: UserId, version?: string): Promise<storage.KeyBackupRow> {
    const number = version === undefined ? undefined : numberOf(version)
    const row = Number.isNaN(number) ? undefined : await storage.findBackup(db, userId, number)
    if (!row) throw notFound('There is no such backup')
    return row
  }

  /** Runs a change of the sessions of one backup, alone. @param change returns whether anything has changed */
  async function changing(
    tx: Tx,
    { user_id: userId, version }: storage.KeyBackupRow,
    change: (backup: storage.BackupKey) => Promise<boolean>,
  ): Promise<State> {
    const backup = { userId, version }
    const before = await storage.raiseEtag(tx.db, backup, 0)
    const etag = (await change(backup)) ? await storage.raiseEtag(tx.db, backup, 1) : before
    return { etag: String(etag), count: await storage.countSessions(tx.db, backup) }
  }

  async function keepBetter(tx: Tx, backup: storage.BackupKey, sessions: Sessions): Promise<boolean> {
    const ids = [...sessions.values()].flatMap((room) => [...room.keys()])
    const kept = new Map(
      (await storage.sessionQualities(tx.db, backup, ids)).map((row) => [`${row.room_id} ${row.session_id}`, row]),
    )
    const rows: storage.KeyBackupSessionRow[] = []
    for (const [roomId, room] of sessions) {
      for (const [sessionId, session] of room) {
        const before = kept.get(`${roomId} ${sessionId}`)
        if (before && !isBetterSession(session, { ...before, is_verified: before.is_verified === 1 })) continue
        rows.push(rowOf(backup, roomId, sessionId, session))
      }
    }
    await storage.putSessions(tx.db, rows)
    return rows.length > 0
  }

  return {
    create: (userId, { algorithm, authData }) =>
      store.transaction(async (tx) => {
        // Alone, so that two made at the same time get two numbers.
        await tx.position()
        const version = await storage.addBackup(tx.db, { userId, algorithm, authData: JSON.stringify(authData) })
        return String(version)
      }),

    async get(userId, version) {
      const row = await found(store.db, userId, version)
      const count = await storage.countSessions(store.db, { userId, version: row.version })
      const { algorithm, auth_data: authData, etag } = row
      return { version: String(row.version), algorithm, authData, count, etag: String(etag) }
    },

    update: (userId, version, { algorithm, authData }) =>
      store.transaction(async (tx) => {
        const row = await found(tx.db, userId, version)
        if (row.algorithm !== algorithm) throw invalidParam('The algorithm of a backup cannot be changed')
        await storage.setBackupAuthData(tx.db, { userId, version: row.version }, JSON.stringify(authData))
      }),

    delete: (userId, version) =>
      store.transaction(async (tx) => {
        const row = await found(tx.db, userId, version)
        await storage.deleteBackup(tx.db, { userId, version: row.version })
      }),

    putSessions(userId, version, part, body) {
      const sessions = readSessions(part, body)
      return store.transaction(async (tx) => {
        const newest = await found(tx.db, userId)
        if (newest.version !== numberOf(version)) {
          await found(tx.db, userId, version)
          throw wrongVersion(newest.version)
        }
        return changing(tx, newest, (backup) => keepBetter(tx, backup, sessions))
      })
    },

    async sessions(userId, version, part) {
      const row = await found(store.db, userId, version)
      const rows = await storage.findSessions(store.db, { userId, version: row.version, ...part })
      if (part.sessionId !== undefined && rows.length === 0) throw notFound('There is no such session in the backup')
      const sessions: Sessions = new Map()
      for (const one of rows) {
        const room = sessions.get(one.room_id) ?? new Map<string, BackedUpSession>()
        sessions.set(one.room_id, room.set(one.session_id, sessionOf(one)))
      }
      return sessions
    },

    deleteSessions: (userId, version, part) =>
      store.transaction(async (tx) => {
        const row = await found(tx.db, userId, version)
        return changing(tx, row, async (backup) => (await storage.deleteSessions(tx.db, { ...backup, ...part })) > 0)
      }),

    forget: (tx, userId) => storage.deleteAllBackups(tx.db, userId),
  }
}

/** Versions are numbers to us, texts to clients. @returns NaN for one that was never given out */
function numberOf(version: string): number {
  return /^[1-9][0-9]{0,14}$/.test(version) ? Number(version) : Number.NaN
}

function wrongVersion(current: number): MatrixError {
  const fields = { current_version: String(current) }
  return new MatrixError(403, 'M_WRONG_ROOM_KEYS_VERSION', 'This is not the newest backup', { fields })
}

/** The sessions in a request for a part of a backup. @throws `M_BAD_JSON` */
function readSessions({ roomId, sessionId }: Part, body: unknown): Sessions {
  if (roomId === undefined) {
    const rooms = membersOf(body, 'rooms').map(([id, room]) => [id, readRoom(room)] as const)
    return new Map(rooms)
  }
  if (sessionId === undefined) return new Map([[roomId, readRoom(body)]])
  return new Map([[roomId, new Map([[sessionId, readSession(body)]])]])
}

function readRoom(room: unknown): Map<string, BackedUpSession> {
  return new Map(membersOf(room, 'sessions').map(([id, session]) => [id, readSession(session)]))
}

function readSession(session: unknown): BackedUpSession {
  if (!isBackedUpSession(session)) throw badJson('This is not a session of a key backup')
  return session
}

function membersOf(container: unknown, name: string): [string, unknown][] {
  const members = isObject(container) ? container[name] : undefined
  if (!isObject(members)) throw badJson(`${name} is not an object`)
  return entriesOf(members)
}

function rowOf(
  { userId, version }: storage.BackupKey,
  roomId: string,
  sessionId: string,
  session: BackedUpSession,
): storage.KeyBackupSessionRow {
  return {
    user_id: userId,
    version,
    room_id: roomId,
    session_id: sessionId,
    first_message_index: session.first_message_index,
    forwarded_count: session.forwarded_count,
    is_verified: session.is_verified ? 1 : 0,
    session_data: JSON.stringify(session.session_data),
  }
}

function sessionOf(row: storage.KeyBackupSessionRow): BackedUpSession {
  return {
    first_message_index: row.first_message_index,
    forwarded_count: row.forwarded_count,
    is_verified: row.is_verified === 1,
    session_data: JSON.parse(row.session_data),
  }
}
