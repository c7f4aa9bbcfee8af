import { forbidden, invalidParam, MatrixError } from '../matrix/errors.ts'
import { isRoomId, type RoomId, type UserId } from '../matrix/ids.ts'
import { isObject, type JsonObject } from '../matrix/json.ts'
import { accountDataContent, putAccountData } from '../storage/account-data.ts'
import type { Db, Store } from '../storage/store.ts'

/** The tags of a room by name, each with what its user says of it, such as `order`. */
type TagsByName = { [name: string]: JsonObject }

/** Whose tags, of which room. */
type OfRoom = { userId: UserId; roomId: string }

/** Room tags, kept as the room's account data `m.tag`. Client-server API, "Room Tagging". */
export type Tags = {
  /** @throws `M_FORBIDDEN` for another's, `M_INVALID_PARAM` if the room is none */
  list(requester: UserId, of: OfRoom): Promise<TagsByName>
  /** Sets a tag or replaces it. @throws as `list`; 413 `M_TOO_LARGE` */
  put(requester: UserId, of: OfRoom, name: string, tag: JsonObject): Promise<void>
  /** Removes a tag, if it is there. @throws as `list` */
  remove(requester: UserId, of: OfRoom, name: string): Promise<void>
}

/** The type of the account data that they are kept in. */
const TAG = 'm.tag'
/** Client-server API, "Room Tagging". */
const MAX_NAME_BYTES = 255
/** How much the tags of a room may take, in bytes of JSON: they go whole into every change that `/sync` shows. */
const MAX_TAGS_BYTES = 64 * 1024

export function createTags(store: Store): Tags {
  async function kept(db: Db, userId: UserId, roomId: RoomId): Promise<Map<string, JsonObject>> {
    const content = await accountDataContent(db, { userId, roomId, type: TAG })
    // A client may have set the account data itself, to anything.
    const tags: unknown = content === undefined ? undefined : JSON.parse(content).tags
    return new Map(isObject(tags) ? Object.entries(tags as TagsByName) : [])
  }

  async function change(requester: UserId, of: OfRoom, how: (tags: Map<string, JsonObject>) => void): Promise<void> {
    const { userId, roomId } = checked(requester, of)
    await store.transaction(async (tx) => {
      // First, since it holds back others who would change the same tags from what they were before.
      const position = await tx.position()
      const tags = await kept(tx.db, userId, roomId)
      how(tags)
      const content = JSON.stringify({ tags: Object.fromEntries(tags) })
      if (Buffer.byteLength(content) > MAX_TAGS_BYTES) {
        throw new MatrixError(413, 'M_TOO_LARGE', 'There are too many tags on this room')
      }
      await putAccountData(tx.db, { userId, roomId, type: TAG }, content, position)
      tx.wake([userId])
    })
  }

  return {
    async list(requester, of) {
      const { userId, roomId } = checked(requester, of)
      return Object.fromEntries(await kept(store.db, userId, roomId))
    },
    async put(requester, of, name, tag) {
      if (name === '' || name.includes('\0') || Buffer.byteLength(name) > MAX_NAME_BYTES) {
        throw invalidParam(`The name of a tag has at most ${MAX_NAME_BYTES} bytes`)
      }
      await change(requester, of, (tags) => void tags.set(name, tag))
    },
    remove: (requester, of, name) => change(requester, of, (tags) => void tags.delete(name)),
  }
}

function checked(requester: UserId, { userId, roomId }: OfRoom): { userId: UserId; roomId: RoomId } {
  if (userId !== requester) throw forbidden('These are the tags of somebody else')
  if (!isRoomId(roomId)) throw invalidParam('This is not a room ID')
  return { userId, roomId }
}
