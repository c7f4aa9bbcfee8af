import { forbidden } from '../matrix/errors.ts'
import { isRoomId, isUserId, type RoomId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { createWorkerLoop, type WorkerLoop } from '../platform/worker-loop.ts'
import type { Db, Tx } from '../storage/store.ts'
import * as storage from '../storage/typing.ts'
import type { Outgoing } from './outgoing.ts'
import type { EphemeralParts } from './ports.ts'

export type Typing = {
  /**
   * `PUT /rooms/{roomId}/typing/{userId}`. Client-server API, "Typing Notifications".
   * @param timeoutMs how long the user counts as typing, unless told again; `false`: they have stopped
   * @throws `M_FORBIDDEN` for another user, or one who is not in the room
   */
  setTyping(requester: UserId, roomId: RoomId, userId: UserId, timeoutMs: number | false): Promise<void>
  /** `m.typing` EDUs of another server. Server-server API, "Typing Notifications". */
  receiveTyping(origin: ServerName, contents: readonly unknown[]): Promise<void>
  /**
   * For sync: who is typing in those of these rooms where that changed after position `after`, up to `upTo`. From the
   * beginning (`after` 0): in those where somebody is.
   */
  typingSince(db: Db, roomIds: readonly RoomId[], after: number, upTo: number): Promise<Map<RoomId, UserId[]>>
  /** Ends what has run out. */
  expiry: WorkerLoop
}

const SHORTEST_MS = 1_000
/** Other servers stop waiting for word of a user at about this time. */
const LONGEST_MS = 60_000
/** Other servers are told again that somebody is typing still, but no sooner than this after the last time (ms). */
const TELL_AGAIN_MS = 20_000
/** More of a room are not noted: nobody could read the list. */
const MOST_IN_A_ROOM = 200
/** The most rooms, and users in them, that one answer looks at. */
const MOST_ROOMS = 2_000
const MOST_USERS = 10_000

/** Who is typing where. In the database, so that every process of a server knows. */
export function createTyping(parts: EphemeralParts, outgoing: Pick<Outgoing, 'queue'>): Typing {
  const { store, clock, log, rooms } = parts

  async function changed(tx: Tx, roomIds: readonly RoomId[]): Promise<void> {
    await storage.touchTypingRooms(tx.db, roomIds, await tx.position())
    tx.wake(roomIds)
  }

  /** @returns the user's row before */
  async function note(tx: Tx, row: storage.TypingRow): Promise<storage.TypingRow | undefined> {
    const before = await storage.typingRow(tx.db, row.room_id, row.user_id)
    if (!before && (await storage.typingCount(tx.db, row.room_id)) >= MOST_IN_A_ROOM) return undefined
    const told_at = before && row.told_at - before.told_at < TELL_AGAIN_MS ? before.told_at : row.told_at
    await storage.putTyping(tx.db, { ...row, told_at })
    if (!before) await changed(tx, [row.room_id])
    tx.afterCommit(() => expiry.wake())
    return before
  }

  async function tell(tx: Tx, roomId: RoomId, userId: UserId, typing: boolean): Promise<void> {
    const servers = await rooms.otherServers(tx.db, roomId)
    await outgoing.queue(tx, servers, { kind: 'typing', roomId, userId, typing })
  }

  async function receiveOne(origin: ServerName, content: unknown): Promise<void> {
    const said = readTyping(origin, content)
    if (!said) return log.debug({ origin }, 'ignored an m.typing that is malformed or of another server')
    const { roomId, userId, typing } = said
    if (await rooms.isDenied(roomId, origin)) return
    await store.transaction(async (tx) => {
      if (!(await rooms.isJoined(tx.db, roomId, userId))) return
      const now = clock.now()
      if (typing) await note(tx, { room_id: roomId, user_id: userId, expires_at: now + LONGEST_MS, told_at: now })
      else if (await storage.removeTyping(tx.db, roomId, userId)) await changed(tx, [roomId])
    })
  }

  const expiry = createWorkerLoop({
    clock,
    lookEveryMs: store.lookEveryMs,
    onError: (error) => log.error({ err: error }, 'ending typing notifications failed'),
    async pass() {
      const nextAt = await storage.nextTypingExpiry(store.db)
      if (nextAt === null || nextAt > clock.now()) return { more: false, nextAt }
      await store.transaction(async (tx) => {
        const ended = await storage.removeExpiredTyping(tx.db, clock.now())
        if (ended.length > 0) await changed(tx, [...new Set(ended.map((row) => row.room_id))])
      })
      return { more: true, nextAt: null }
    },
  })

  return {
    async setTyping(requester, roomId, userId, timeoutMs) {
      if (requester !== userId) throw forbidden('Only a user themselves can say that they are typing')
      await store.transaction(async (tx) => {
        if (!(await rooms.isJoined(tx.db, roomId, userId))) throw forbidden('You are not in this room')
        if (timeoutMs === false) {
          if (!(await storage.removeTyping(tx.db, roomId, userId))) return
          await changed(tx, [roomId])
          return tell(tx, roomId, userId, false)
        }
        const now = clock.now()
        const expires_at = now + Math.min(Math.max(timeoutMs, SHORTEST_MS), LONGEST_MS)
        const before = await note(tx, { room_id: roomId, user_id: userId, expires_at, told_at: now })
        if (!before || now - before.told_at >= TELL_AGAIN_MS) await tell(tx, roomId, userId, true)
      })
    },

    async receiveTyping(origin, contents) {
      for (const content of contents) await receiveOne(origin, content)
    },

    async typingSince(db, roomIds, after, upTo) {
      const wanted = new Set(roomIds)
      const changes = after > 0 ? await storage.changedTypingRooms(db, { after, upTo, limit: MOST_ROOMS }) : 'all'
      const shown = changes === 'all' ? changes : changes.filter((roomId) => wanted.has(roomId))
      const found = new Map<RoomId, UserId[]>(shown === 'all' ? [] : shown.map((roomId) => [roomId, []]))
      for (const { room_id: roomId, user_id: userId } of await storage.typingUsers(db, shown, MOST_USERS)) {
        if (!wanted.has(roomId)) continue
        const users = found.get(roomId)
        if (users) users.push(userId)
        else found.set(roomId, [userId])
      }
      return found
    },

    expiry,
  }
}

function readTyping(
  origin: ServerName,
  content: unknown,
): { roomId: RoomId; userId: UserId; typing: boolean } | undefined {
  if (!isObject(content)) return undefined
  const { room_id: roomId, user_id: userId, typing } = content
  if (!isRoomId(roomId) || !isUserId(userId) || serverNameOf(userId) !== origin) return undefined
  return typeof typing === 'boolean' ? { roomId, userId, typing } : undefined
}
