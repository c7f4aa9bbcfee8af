import type { UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { isOneOf, prepared, preparedForAny } from './prepared.ts'
import type { Db } from './store.ts'

/** Where a user's own data is kept: `roomId` is empty for what belongs to no room. */
export type AccountDataKey = { userId: UserId; roomId: string; type: string }

/** One entry; `content` is JSON. */
export type AccountDataRow = { room_id: string; type: string; content: string; position: number }

const selectContent = prepared<AccountDataKey, { content: string }>((db, value) =>
  db
    .selectFrom('account_data')
    .select('content')
    .where('user_id', '=', value('userId'))
    .where('room_id', '=', value('roomId'))
    .where('type', '=', value('type')),
)

/** The content (JSON) of one entry. */
export async function accountDataContent(db: Db, key: AccountDataKey): Promise<string | undefined> {
  return (await selectContent(db, key)).rows[0]?.content
}

type EntryPosition = { user_id: UserId; type: string; position: number }

const selectPositions = preparedForAny<EntryPosition, { types: string }>('user_id', (db, isChosen, value) =>
  db
    .selectFrom('account_data')
    .select(['user_id', 'type', 'position'])
    .where(isChosen)
    .where('room_id', '=', '')
    .where(isOneOf(db, 'type', value('types'))),
)

/** When (positions) many users wrote entries of these types last, of those that belong to no room. */
export async function accountDataPositions(
  db: Db,
  userIds: readonly UserId[],
  types: readonly string[],
): Promise<EntryPosition[]> {
  return selectPositions(db, userIds, { types: JSON.stringify(types) })
}

/** The contents (JSON) of entries of these types that many users have, of those that belong to no room. */
export async function accountDataContents(
  db: Db,
  userIds: readonly UserId[],
  types: readonly string[],
): Promise<{ user_id: UserId; type: string; content: string }[]> {
  const found = []
  for (const some of inParts(userIds, 500)) {
    const rows = await db
      .selectFrom('account_data')
      .select(['user_id', 'type', 'content'])
      .where('user_id', 'in', some)
      .where('room_id', '=', '')
      .where('type', 'in', types)
      .execute()
    found.push(...rows)
  }
  return found
}

/** Sets an entry at a place in the stream, or replaces it. */
export async function putAccountData(db: Db, key: AccountDataKey, content: string, position: number): Promise<void> {
  await db
    .insertInto('account_data')
    .values({ user_id: key.userId, room_id: key.roomId, type: key.type, content, position })
    .onConflict((conflict) => conflict.columns(['user_id', 'room_id', 'type']).doUpdateSet({ content, position }))
    .execute()
}

type Range = { userId: UserId; since: number; upTo: number }

const selectSince = prepared<Range, AccountDataRow>((db, value) =>
  db
    .selectFrom('account_data')
    .select(['room_id', 'type', 'content', 'position'])
    .where('user_id', '=', value('userId'))
    .where('position', '>', value('since'))
    .where('position', '<=', value('upTo'))
    .orderBy('position'),
)

/** A user's entries that were written after position `since`, up to `upTo`, in the order of writing. */
export async function accountDataSince(db: Db, userId: UserId, since: number, upTo: number): Promise<AccountDataRow[]> {
  return (await selectSince(db, { userId, since, upTo })).rows
}

/** Removes everything that a user has kept, for all rooms. */
export async function removeAllAccountData(db: Db, userId: UserId): Promise<void> {
  await db.deleteFrom('account_data').where('user_id', '=', userId).execute()
}
