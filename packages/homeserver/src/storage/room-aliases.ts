import type { RoomAlias, RoomId, UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** An alias of ours: the room it stands for, and who made it. */
export type AliasRow = { alias: RoomAlias; room_id: RoomId; creator: UserId }

/** @returns `false` if the alias is taken */
export async function insertAlias(
  db: Db,
  { alias, roomId, creator, now }: { alias: RoomAlias; roomId: RoomId; creator: UserId; now: number },
): Promise<boolean> {
  const row = await db
    .insertInto('room_aliases')
    .values({ alias, room_id: roomId, creator, created_at: now })
    .onConflict((conflict) => conflict.doNothing())
    .returning('alias')
    .executeTakeFirst()
  return row !== undefined
}

export async function aliasRow(db: Db, alias: RoomAlias): Promise<AliasRow | undefined> {
  return db
    .selectFrom('room_aliases')
    .select(['alias', 'room_id', 'creator'])
    .where('alias', '=', alias)
    .executeTakeFirst()
}

/** Our aliases of a room, the oldest first. */
export async function aliasesOfRoom(db: Db, roomId: RoomId): Promise<RoomAlias[]> {
  const rows = await db
    .selectFrom('room_aliases')
    .select('alias')
    .where('room_id', '=', roomId)
    .orderBy('created_at')
    .orderBy('alias')
    .execute()
  return rows.map((row) => row.alias)
}

export async function deleteAlias(db: Db, alias: RoomAlias): Promise<void> {
  await db.deleteFrom('room_aliases').where('alias', '=', alias).execute()
}

/** Makes all our aliases of one room aliases of another. */
export async function moveAliases(db: Db, from: RoomId, to: RoomId): Promise<void> {
  await db.updateTable('room_aliases').set({ room_id: to }).where('room_id', '=', from).execute()
}
