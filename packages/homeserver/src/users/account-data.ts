import { forbidden, invalidParam, MatrixError, notFound } from '../matrix/errors.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { isObject, type JsonObject } from '../matrix/json.ts'
import { accountDataContent, accountDataSince, putAccountData } from '../storage/account-data.ts'
import type { Db, Store, Tx } from '../storage/store.ts'
import { PUSH_RULES, type PushRules } from './push-rules.ts'
import { pushRulesContent, readChanges } from './push-ruleset.ts'

/** Something that a user keeps here, as `/sync` shows it. */
type AccountDataEvent = { type: string; content: unknown }

/** Whose data, of which room (`undefined`: of none), of which type. */
type AccountDataName = { userId: UserId; roomId: string | undefined; type: string }

export type AccountData = {
  /**
   * `GET /user/{userId}/account_data/{type}` and the same of a room.
   * @throws `M_FORBIDDEN` for another's, `M_NOT_FOUND`, `M_INVALID_PARAM` if the room is none
   */
  accountData(requester: UserId, name: AccountDataName): Promise<unknown>
  /**
   * `PUT` of the same; every device of the user hears of it through `/sync`.
   * @throws `M_FORBIDDEN`, `M_INVALID_PARAM`; 405 `M_BAD_JSON` for what the server itself sets
   */
  setAccountData(requester: UserId, name: AccountDataName, content: object): Promise<void>
  /**
   * What `/sync` shows of what belongs to no room: written after position `after`, up to `upTo`. From the beginning
   * (`after` 0) the push rules are always among it.
   */
  accountDataEvents(userId: UserId, after: number, upTo: number): Promise<AccountDataEvent[]>
  /** What `/sync` shows of rooms, tags and the fully read marker among it: written after position `after`, up to `upTo`. */
  roomAccountDataSince(userId: UserId, after: number, upTo: number): Promise<Map<RoomId, AccountDataEvent[]>>
  /** The fully read marker, which clients set through receipts. Client-server API, "Read and unread markers". */
  fullyRead: {
    content(db: Db, userId: UserId, roomId: RoomId): Promise<unknown>
    put(tx: Tx, userId: UserId, roomId: RoomId, content: JsonObject): Promise<void>
  }
  /** Whether a user wants no invitations. Client-server API, "Invite permission". */
  blocksInvites(userId: UserId): Promise<boolean>
}

/** Client-server API, "Client Config", "Server Behaviour". */
const FULLY_READ = 'm.fully_read'
const SET_BY_SERVER = new Set([FULLY_READ, PUSH_RULES])
/** The longest type and room ID, in bytes. Client-server API, "Size limits". */
const MAX_NAME_BYTES = 255

export function createAccountData(store: Store, pushRules: PushRules): AccountData {
  return {
    async accountData(requester, name) {
      const key = keyOf(requester, name)
      if (key.type === PUSH_RULES && key.roomId === '') return { global: await pushRules.ruleset(requester) }
      const content = await accountDataContent(store.db, key)
      if (content === undefined) throw notFound('No account data of this type')
      return JSON.parse(content)
    },

    async setAccountData(requester, name, content) {
      const key = keyOf(requester, name)
      if (SET_BY_SERVER.has(key.type)) {
        throw new MatrixError(405, 'M_BAD_JSON', `${key.type} cannot be set through this API`)
      }
      await store.transaction(async (tx) => {
        await putAccountData(tx.db, key, JSON.stringify(content), await tx.position())
        tx.wake([requester])
      })
    },

    async accountDataEvents(userId, after, upTo) {
      const rows = (await accountDataSince(store.db, userId, after, upTo)).filter((row) => row.room_id === '')
      const events = rows.map(({ type, content }) => ({
        type,
        content: type === PUSH_RULES ? pushRulesContent(userId, readChanges(content)) : JSON.parse(content),
      }))
      if (after > 0 || rows.some((row) => row.type === PUSH_RULES)) return events
      return [{ type: PUSH_RULES, content: pushRulesContent(userId, readChanges(undefined)) }, ...events]
    },

    async roomAccountDataSince(userId, after, upTo) {
      const rows = (await accountDataSince(store.db, userId, after, upTo)).filter((row) => row.room_id !== '')
      const byRoom = Map.groupBy(rows, (row) => row.room_id as RoomId)
      const events = ({ type, content }: (typeof rows)[number]) => ({ type, content: JSON.parse(content) })
      return new Map([...byRoom].map(([roomId, theirs]) => [roomId, theirs.map(events)]))
    },

    fullyRead: {
      async content(db, userId, roomId) {
        const content = await accountDataContent(db, { userId, roomId, type: FULLY_READ })
        return content === undefined ? undefined : JSON.parse(content)
      },
      async put(tx, userId, roomId, content) {
        const key = { userId, roomId, type: FULLY_READ }
        await putAccountData(tx.db, key, JSON.stringify(content), await tx.position())
        tx.wake([userId])
      },
    },

    async blocksInvites(userId) {
      const text = await accountDataContent(store.db, { userId, roomId: '', type: 'm.invite_permission_config' })
      const content: unknown = text === undefined ? undefined : JSON.parse(text)
      return isObject(content) && content.default_action === 'block'
    },
  }
}

function keyOf(requester: UserId, { userId, roomId, type }: AccountDataName) {
  if (userId !== requester) throw forbidden('This is the account data of somebody else')
  if (!isName(type)) throw invalidParam('This is not a type of account data')
  if (roomId !== undefined && !(isName(roomId) && roomId.startsWith('!') && roomId.length > 1)) {
    throw invalidParam('This is not a room ID')
  }
  return { userId, roomId: roomId ?? '', type }
}

function isName(text: string): boolean {
  return text !== '' && !text.includes('\0') && Buffer.byteLength(text) <= MAX_NAME_BYTES
}
