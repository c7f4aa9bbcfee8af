import { type ExpressionBuilder, sql } from 'kysely'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { isPostgres } from './dialect.ts'
import type { Db } from './store.ts'
import type { Tables } from './tables.ts'

/** Somebody who was found. */
export type FoundUser = { userId: UserId; displayName: string | null; avatarUrl: string | null }

/** What is looked for: words that all have to occur, in the display name or the user ID, and who looks. */
export type UserSearch = { userId: UserId; words: readonly string[]; limit: number }

/**
 * Our own users whom somebody may find: those in a room with them, and those in a room that anybody may join or read; by
 * their profiles, since what they are called in a room is for that room.
 */
export async function findLocalUsers(db: Db, { userId, words, limit }: UserSearch): Promise<FoundUser[]> {
  const profile = (name: string) =>
    sql<string | null>`(select value from profile_fields where user_id = users.user_id and name = ${name})`
  const rows = await db
    .selectFrom('users')
    .select(['users.user_id', profile('displayname').as('name'), profile('avatar_url').as('avatar')])
    .where('users.deactivated_at', 'is', null)
    .where('users.is_guest', '=', 0)
    .where((eb) => eb.and(words.map((word) => matches(db, [sql.ref('users.user_id'), profile('displayname')], word))))
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('memberships as theirs')
          .select('theirs.room_id')
          .whereRef('theirs.user_id', '=', 'users.user_id')
          .where('theirs.membership', '=', 'join')
          .where((eb) => isVisible(eb, userId)),
      ),
    )
    .orderBy('users.user_id')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ userId: row.user_id, displayName: textOf(row.name), avatarUrl: textOf(row.avatar) }))
}

/** The same of other servers' users, by what they are called in those rooms. */
export async function findRemoteUsers(db: Db, { userId, words, limit }: UserSearch): Promise<FoundUser[]> {
  const columns = [sql.ref('theirs.user_id'), sql.ref('theirs.display_name')]
  const rows = await db
    .selectFrom('memberships as theirs')
    .select(({ fn }) => [
      'theirs.user_id',
      fn.max('theirs.display_name').as('name'),
      fn.max('theirs.avatar_url').as('avatar'),
    ])
    .where('theirs.is_local', '=', 0)
    .where('theirs.membership', '=', 'join')
    .where((eb) => eb.and(words.map((word) => matches(db, columns, word))))
    .where((eb) => isVisible(eb, userId))
    .groupBy('theirs.user_id')
    .orderBy('theirs.user_id')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ userId: row.user_id, displayName: row.name, avatarUrl: row.avatar }))
}

/** Whether `theirs` is the membership of a room that lets `userId` see its members; of oneself, only an open one does. */
function isVisible(eb: ExpressionBuilder<Tables & { theirs: Tables['memberships'] }, 'theirs'>, userId: UserId) {
  const shared = eb
    .selectFrom('memberships as own')
    .select('own.room_id')
    .whereRef('own.room_id', '=', 'theirs.room_id')
    .whereRef('own.user_id', '!=', 'theirs.user_id')
    .where('own.user_id', '=', userId)
    .where('own.membership', '=', 'join')
  const open = eb
    .selectFrom('rooms')
    .innerJoin('memberships as ours', 'ours.room_id', 'rooms.room_id')
    .select('rooms.room_id')
    .whereRef('rooms.room_id', '=', 'theirs.room_id')
    .where('rooms.is_open', '=', 1)
    // A room that none of our users is in may have changed since.
    .where('ours.membership', '=', 'join')
    .where('ours.is_local', '=', sql.lit(1))
  return eb.or([eb.exists(shared), eb.exists(open)])
}

/**
 * Whether a word occurs in one of these columns. SQLite ignores case in ASCII only, so the word is looked for in the ways in
 * which it is usually written.
 */
function matches(db: Db, columns: readonly ReturnType<typeof sql.ref>[], word: string) {
  const lower = word.toLowerCase()
  const capitalized = `${lower.slice(0, 1).toUpperCase()}${lower.slice(1)}`
  const variants = new Set([word, lower, word.toUpperCase(), capitalized])
  const like = sql.raw(isPostgres(db) ? 'ilike' : 'like')
  const tests = [...variants].flatMap((variant) =>
    columns.map((column) => sql<boolean>`${column} ${like} ${`%${escapeLike(variant)}%`} escape '\\'`),
  )
  return sql<boolean>`(${sql.join(tests, sql` or `)})`
}

const escapeLike = (text: string) => text.replaceAll(/[\\%_]/g, '\\$&')

/** Fields of profiles are kept as JSON. */
function textOf(json: string | null): string | null {
  const value: unknown = json === null ? null : JSON.parse(json)
  return typeof value === 'string' ? value : null
}

/** The rooms that both are in, in order of their IDs, those after `after`. */
export async function mutualRoomIds(
  db: Db,
  [first, second]: readonly [UserId, UserId],
  { after, limit }: { after: string; limit: number },
): Promise<RoomId[]> {
  const rows = await mutualRooms(db, first, second)
    .select('own.room_id')
    .where('own.room_id', '>', after as RoomId)
    .orderBy('own.room_id')
    .limit(limit)
    .execute()
  return rows.map((row) => row.room_id)
}

/** How many rooms both are in. */
export async function mutualRoomCount(db: Db, first: UserId, second: UserId): Promise<number> {
  const row = await mutualRooms(db, first, second)
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

function mutualRooms(db: Db, first: UserId, second: UserId) {
  return db
    .selectFrom('memberships as own')
    .innerJoin('memberships as theirs', 'theirs.room_id', 'own.room_id')
    .where('own.user_id', '=', first)
    .where('own.membership', '=', 'join')
    .where('theirs.user_id', '=', second)
    .where('theirs.membership', '=', 'join')
}
