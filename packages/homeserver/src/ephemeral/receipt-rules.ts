import {
  type EventId,
  isEventId,
  isRoomId,
  isUserId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../matrix/ids.ts'
import { entriesOf, isObject, type JsonObject } from '../matrix/json.ts'
import type { ReceiptRow } from '../storage/receipts.ts'

/** Up to where a receipt says that its user has read. `position` is `null` if we do not have the event; `ts` in ms. */
export type Mark = { eventId: EventId; position: number | null; ts: number }

/** A receipt of another server's user; `threadId` is empty if it is unthreaded. */
export type RemoteReceipt = { roomId: RoomId; userId: UserId; threadId: string; eventId: EventId; ts: number }

/** What `/sync` shows: the content of an `m.receipt`. */
export type ReceiptContent = { [eventId: string]: { [type: string]: { [userId: string]: JsonObject } } }

/** Whether a receipt goes ahead of the one that is kept: by the events' order, or where one is not known, by time. */
export function isAhead(kept: Mark | undefined, next: Mark): boolean {
  if (!kept) return true
  if (kept.eventId === next.eventId) return kept.position === null && next.position !== null
  if (kept.position !== null && next.position !== null) return next.position > kept.position
  return next.ts > kept.ts
}

/** Whether a text may be a thread's ID: `main`, or the event ID of its root. */
export function isThreadId(value: unknown): value is EventId | 'main' {
  return value === 'main' || isEventId(value)
}

/** The most receipts that are read of one EDU. */
const MOST_RECEIPTS = 1_000

/**
 * Reads the content of an `m.receipt` EDU. What is malformed in it, is of a user of another server, or is no public read
 * receipt, is left out. Server-server API, "Receipts".
 * @param now epoch ms: what claims to be from the future is of now
 */
export function readReceipts(origin: ServerName, content: unknown, now: number): RemoteReceipt[] {
  const receipts: RemoteReceipt[] = []
  for (const [roomId, types] of entriesOf(content)) {
    if (!isRoomId(roomId) || !isObject(types) || !Object.hasOwn(types, 'm.read')) continue
    for (const [userId, said] of entriesOf(types['m.read'])) {
      if (receipts.length === MOST_RECEIPTS) return receipts
      const mark = isUserId(userId) && serverNameOf(userId) === origin ? readMark(said, now) : undefined
      if (mark) receipts.push({ roomId, userId: userId as UserId, ...mark })
    }
  }
  return receipts
}

function readMark(said: unknown, now: number): Pick<RemoteReceipt, 'eventId' | 'threadId' | 'ts'> | undefined {
  if (!isObject(said) || !Array.isArray(said.event_ids) || !isObject(said.data)) return undefined
  const [eventId] = said.event_ids as unknown[]
  const { ts, thread_id: threadId } = said.data
  if (!isEventId(eventId) || !Number.isSafeInteger(ts)) return undefined
  if (threadId !== undefined && !isThreadId(threadId)) return undefined
  return { eventId, threadId: threadId ?? '', ts: Math.min(Math.max(ts as number, 0), now) }
}

/** Puts receipts of one room together. Where a user has two of one type at one event, the unthreaded one says more. */
export function receiptContent(rows: readonly ReceiptRow[]): ReceiptContent {
  const content: ReceiptContent = {}
  for (const { event_id, type, user_id, thread_id, ts } of rows) {
    const byType = content[event_id] ?? {}
    const byUser = byType[type] ?? {}
    content[event_id] = byType
    byType[type] = byUser
    if (byUser[user_id] && thread_id !== '') continue
    byUser[user_id] = thread_id === '' ? { ts } : { ts, thread_id }
  }
  return content
}
