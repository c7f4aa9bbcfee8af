import { forbidden, MatrixError, notFound } from '../matrix/errors.ts'
import type { RoomAlias, RoomId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { findAccount } from '../storage/accounts.ts'
import { membershipRow } from '../storage/memberships.ts'
import { aliasesOfRoom, aliasRow, deleteAlias, insertAlias } from '../storage/room-aliases.ts'
import type { Db } from '../storage/store.ts'
import { isWorldReadable } from './current-contents.ts'
import type { RoomParts } from './ports.ts'
import { mayChangeState } from './power.ts'
import { send } from './send.ts'
import { notInRoom } from './speaking.ts'
import { stateView } from './state-view.ts'
import type { RoomWriter, WritableRoom } from './writable-room.ts'

const CANONICAL_ALIAS = 'm.room.canonical_alias'

/** Our aliases of rooms. Client-server API, "Room Aliases". */
export type Aliases = {
  /** @throws `M_FORBIDDEN` for whoever is not in the room; 409 `M_UNKNOWN` if the alias is taken */
  set(userId: UserId, alias: RoomAlias, roomId: RoomId): Promise<void>
  /**
   * Removes an alias; the room's `m.room.canonical_alias` no longer names it, if the user may change that.
   * @throws `M_NOT_FOUND`; `M_FORBIDDEN` for whoever has neither made it nor the power to change the canonical alias
   */
  remove(userId: UserId, alias: RoomAlias): Promise<void>
  /** @throws `M_FORBIDDEN` for whoever is not in the room, unless all the world may read it */
  list(userId: UserId, roomId: RoomId): Promise<RoomAlias[]>
}

export function createAliases(parts: RoomParts, writer: RoomWriter): Aliases {
  const { store, clock } = parts

  async function isJoined(userId: UserId, roomId: RoomId): Promise<boolean> {
    return (await membershipRow(store.db, roomId, userId))?.membership === 'join'
  }

  return {
    async set(userId, alias, roomId) {
      if (!(await isJoined(userId, roomId))) throw notInRoom()
      if (!(await insertAlias(store.db, { alias, roomId, creator: userId, now: clock.now() }))) {
        throw new MatrixError(409, 'M_UNKNOWN', 'This alias is taken')
      }
    },

    async remove(userId, alias) {
      const known = await aliasRow(store.db, alias)
      if (!known) throw notFound('There is no such alias')
      const isAdmin = (await findAccount(store.db, userId))?.is_admin === 1
      await writer.write(known.room_id, async (room) => {
        const row = await aliasRow(room.tx.db, alias)
        if (row?.room_id !== room.roomId) throw notFound('There is no such alias')
        if (row.creator !== userId && !isAdmin && !(await mayChangeState(parts, room, userId, CANONICAL_ALIAS))) {
          throw forbidden('This alias was made by somebody else')
        }
        await deleteAlias(room.tx.db, alias)
        await takeFromCanonical(parts, room, userId, alias)
      })
    },

    async list(userId, roomId) {
      const may = (await isJoined(userId, roomId)) || (await isWorldReadable(store.db, roomId))
      if (!may) throw notInRoom()
      return aliasesOfRoom(store.db, roomId)
    },
  }
}

/** Gives a new room a name. @throws 400 `M_ROOM_IN_USE` if it is taken */
export async function addAlias(db: Db, alias: RoomAlias, roomId: RoomId, creator: UserId, now: number): Promise<void> {
  if (!(await insertAlias(db, { alias, roomId, creator, now }))) {
    throw new MatrixError(400, 'M_ROOM_IN_USE', 'This alias is taken')
  }
}

async function takeFromCanonical(parts: RoomParts, room: WritableRoom, userId: UserId, gone: RoomAlias): Promise<void> {
  if (!room.current || !(await mayChangeState(parts, room, userId, CANONICAL_ALIAS))) return
  const state = await stateView(parts, room.tx.db, room, room.current.map, [[CANONICAL_ALIAS, '']])
  const before = state(CANONICAL_ALIAS, '')?.content
  if (!before) return
  const content = withoutAlias(before, gone)
  if (content) await send(parts, room, { type: CANONICAL_ALIAS, stateKey: '', sender: userId, content })
}

/** @returns `undefined` if the content does not name the alias */
function withoutAlias(content: JsonObject, gone: RoomAlias): JsonObject | undefined {
  const { alias, alt_aliases: others, ...rest } = content
  const left = Array.isArray(others) ? others.filter((one) => one !== gone) : undefined
  const isNamed = alias === gone || (Array.isArray(others) && left!.length < others.length)
  if (!isNamed) return undefined
  return {
    ...rest,
    ...(alias === undefined || alias === gone ? {} : { alias }),
    ...(left === undefined || left.length === 0 ? {} : { alt_aliases: left }),
  }
}
