import { MatrixError } from '../matrix/errors.ts'
import type { RoomAlias, RoomId, UserId } from '../matrix/ids.ts'
import { insertAlias } from '../storage/room-aliases.ts'
import type { Db } from '../storage/store.ts'

/** Gives a room a name. @throws 400 `M_ROOM_IN_USE` if it is taken */
export async function addAlias(db: Db, alias: RoomAlias, roomId: RoomId, creator: UserId, now: number): Promise<void> {
  if (!(await insertAlias(db, { alias, roomId, creator, now }))) {
    throw new MatrixError(400, 'M_ROOM_IN_USE', 'This alias is taken')
  }
}
