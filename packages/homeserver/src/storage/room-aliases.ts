import type { RoomAlias, RoomId, UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

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
