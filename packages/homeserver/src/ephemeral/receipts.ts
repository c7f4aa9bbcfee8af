import { forbidden, invalidParam, notFound } from '../matrix/errors.ts'
import { type EventId, isEventId, type RoomId, type ServerName, type UserId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import type { ReceiptType } from '../storage/ephemeral-tables.ts'
import * as storage from '../storage/receipts.ts'
import type { Db, Tx } from '../storage/store.ts'
import type { Outgoing } from './outgoing.ts'
import type { EphemeralParts } from './ports.ts'
import {
  isAhead,
  isThreadId,
  type ReceiptContent,
  type RemoteReceipt,
  readReceipts,
  receiptContent,
} from './receipt-rules.ts'

/** What a user can mark as read: two kinds of receipts, and the marker of what is dealt with. */
type Marker = ReceiptType | 'm.fully_read'

/** Up to which position of events a user has read. */
type ReadUpTo = {
  /** Whatever thread an event is in. */
  unthreaded: number
  /** By thread: its root's event ID, or `main`. */
  threads: Map<string, number>
}

export type Receipts = {
  /**
   * `POST /rooms/{roomId}/receipt/{receiptType}/{eventId}`. One that is behind the last changes nothing.
   * Client-server API, "Receipts".
   * @param threadId `undefined`: unthreaded
   * @throws `M_FORBIDDEN` for who is not in the room, `M_INVALID_PARAM`, `M_NOT_FOUND` if the room has no such event
   */
  setReceipt(userId: UserId, roomId: RoomId, marker: Marker, eventId: string, threadId?: unknown): Promise<void>
  /** `POST /rooms/{roomId}/read_markers`: several at once, all or nothing. The errors are those of `setReceipt`. */
  setMarkers(userId: UserId, roomId: RoomId, markers: Partial<Record<Marker, string | undefined>>): Promise<void>
  /** `m.receipt` EDUs of another server. Server-server API, "Receipts". */
  receiveReceipts(origin: ServerName, contents: readonly unknown[]): Promise<void>
  /**
   * For sync: by room, the content of an `m.receipt` with everybody's public receipts, and the user's own private ones,
   * written after position `after`, up to `upTo`.
   */
  receiptsSince(
    db: Db,
    userId: UserId,
    roomIds: readonly RoomId[],
    after: number,
    upTo: number,
  ): Promise<Map<RoomId, ReceiptContent>>
  /** Up to where a user has read, whether or not others are told. */
  readUpTo(db: Db, userId: UserId, roomId: RoomId): Promise<ReadUpTo>
}

/** The most receipts in one answer; those of the user come first, then the latest. */
const MOST_SHOWN = 10_000
/** The most threads (and types) that a user can have receipts for in one room. */
const MOST_OF_A_USER = 2_000

export function createReceipts(parts: EphemeralParts, outgoing: Pick<Outgoing, 'queue'>): Receipts {
  const { store, clock, log, rooms, fullyRead, onRead } = parts

  /** @returns whether it went ahead */
  async function advance(tx: Tx, type: ReceiptType, receipt: RemoteReceipt & { position: number | null }) {
    const { roomId, userId, threadId, eventId, ts, position: eventPosition } = receipt
    const kept = await storage.receiptRow(tx.db, { roomId, userId, type, threadId })
    const mark = kept && { eventId: kept.event_id, position: kept.event_position, ts: kept.ts }
    if (!isAhead(mark, { eventId, position: eventPosition, ts })) return false
    if (!kept && (await storage.receiptCount(tx.db, roomId, userId)) >= MOST_OF_A_USER) return false
    await storage.putReceipt(tx.db, {
      room_id: roomId,
      user_id: userId,
      type,
      thread_id: threadId,
      event_id: eventId,
      event_position: eventPosition,
      ts,
      position: await tx.position(),
    })
    tx.wake(type === 'm.read' ? [roomId] : [userId])
    return true
  }

  async function place(db: Db, roomId: RoomId, eventId: string): Promise<{ eventId: EventId; position: number }> {
    if (!isEventId(eventId)) throw invalidParam('This is not an event ID')
    const found = await rooms.eventPosition(db, roomId, eventId)
    if (!found) throw notFound('There is no such event in this room')
    return { eventId, position: found.position }
  }

  async function setMarker(tx: Tx, userId: UserId, roomId: RoomId, eventId: string): Promise<void> {
    const next = await place(tx.db, roomId, eventId)
    const kept = await fullyRead.content(tx.db, userId, roomId)
    const before = isObject(kept) && isEventId(kept.event_id) ? kept.event_id : undefined
    const known = before && (await rooms.eventPosition(tx.db, roomId, before))
    if (!known || next.position > known.position) await fullyRead.put(tx, userId, roomId, { event_id: next.eventId })
  }

  async function setOne(tx: Tx, userId: UserId, roomId: RoomId, type: ReceiptType, eventId: string, threadId: string) {
    const next = await place(tx.db, roomId, eventId)
    // The root of a thread is in the main timeline, and can be read in its thread as well.
    if (threadId !== '' && threadId !== 'main' && threadId !== eventId) {
      const thread = await rooms.threadOf(tx.db, roomId, next.eventId)
      if (thread !== threadId) throw invalidParam('The event is not in the thread of thread_id')
    }
    const receipt = { roomId, userId, threadId, ...next, ts: clock.now() }
    if (!(await advance(tx, type, receipt))) return
    await onRead(tx, userId, roomId, { position: next.position, threadId })
    if (type !== 'm.read') return
    const { position: _, ...told } = receipt
    await outgoing.queue(tx, await rooms.otherServers(tx.db, roomId), { kind: 'receipt', ...told })
  }

  async function checkJoined(tx: Tx, userId: UserId, roomId: RoomId): Promise<void> {
    if (!(await rooms.isJoined(tx.db, roomId, userId))) throw forbidden('You are not in this room')
  }

  async function receiveOne(origin: ServerName, receipts: readonly RemoteReceipt[]): Promise<void> {
    const denied = new Set<RoomId>()
    for (const roomId of new Set(receipts.map((receipt) => receipt.roomId))) {
      if (await rooms.isDenied(roomId, origin)) denied.add(roomId)
    }
    await store.transaction(async (tx) => {
      for (const receipt of receipts) {
        const { roomId, userId, eventId } = receipt
        if (denied.has(roomId) || !(await rooms.isJoined(tx.db, roomId, userId))) continue
        const found = await rooms.eventPosition(tx.db, roomId, eventId)
        await advance(tx, 'm.read', { ...receipt, position: found?.position ?? null })
      }
    })
  }

  return {
    async setReceipt(userId, roomId, marker, eventId, threadId) {
      if (threadId !== undefined) {
        if (!isThreadId(threadId)) throw invalidParam('thread_id is neither "main" nor an event ID')
        if (marker === 'm.fully_read') throw invalidParam('m.fully_read is of no thread')
      }
      await store.transaction(async (tx) => {
        await checkJoined(tx, userId, roomId)
        if (marker === 'm.fully_read') await setMarker(tx, userId, roomId, eventId)
        else await setOne(tx, userId, roomId, marker, eventId, threadId ?? '')
      })
    },

    async setMarkers(userId, roomId, markers) {
      await store.transaction(async (tx) => {
        await checkJoined(tx, userId, roomId)
        const marked = markers['m.fully_read']
        if (marked !== undefined) await setMarker(tx, userId, roomId, marked)
        for (const type of ['m.read', 'm.read.private'] as const) {
          const eventId = markers[type]
          if (eventId !== undefined) await setOne(tx, userId, roomId, type, eventId, '')
        }
      })
    },

    async receiveReceipts(origin, contents) {
      for (const content of contents) {
        const receipts = readReceipts(origin, content, clock.now())
        if (receipts.length > 0) await receiveOne(origin, receipts)
        else log.debug({ origin }, 'ignored an m.receipt without a receipt of a user of its origin')
      }
    },

    async receiptsSince(db, userId, roomIds, after, upTo) {
      const range = { after, upTo, limit: MOST_SHOWN }
      const wanted = new Set(roomIds)
      // Little has happened since a token of a moment ago, in however many rooms; all of it is too much to look through.
      let rows = after > 0 ? await storage.receiptsSince(db, userId, range) : []
      if (after === 0 || rows.length === MOST_SHOWN) rows = await storage.receiptsInRooms(db, userId, roomIds, range)
      const byRoom = Map.groupBy(
        rows.filter((row) => wanted.has(row.room_id)),
        (row) => row.room_id,
      )
      return new Map([...byRoom].map(([roomId, theirs]) => [roomId, receiptContent(theirs)]))
    },

    async readUpTo(db, userId, roomId) {
      const read: ReadUpTo = { unthreaded: 0, threads: new Map() }
      for (const { thread_id: thread, event_position: position } of await storage.ownReceipts(db, roomId, userId)) {
        if (position === null) continue
        if (thread === '') read.unthreaded = Math.max(read.unthreaded, position)
        else read.threads.set(thread, Math.max(read.threads.get(thread) ?? 0, position))
      }
      return read
    },
  }
}
