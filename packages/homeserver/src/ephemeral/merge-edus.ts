import type { Edu } from '../matrix/federation.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { Presence } from '../storage/ephemeral-tables.ts'

type TypingEdu = { roomId: RoomId; userId: UserId; typing: boolean }
type ReceiptEdu = { roomId: RoomId; userId: UserId; threadId: string; eventId: EventId; ts: number }
type PresenceEdu = {
  userId: UserId
  presence: Presence
  statusMsg: string | null
  /** Epoch ms. */
  lastActiveAt: number
  currentlyActive: boolean
}

/** What is queued for another server, before it is put together. */
export type QueuedEdu =
  | ({ kind: 'typing' } & TypingEdu)
  | ({ kind: 'receipt' } & ReceiptEdu)
  | ({ kind: 'presence' } & PresenceEdu)

type ReceiptContent = { [roomId: string]: { 'm.read': { [userId: string]: JsonObject } } }

/**
 * Puts what is queued into as few EDUs as its formats allow. Server-server API, "Typing Notifications", "Presence",
 * "Receipts".
 * @param now epoch ms
 * @returns at most `limit` EDUs, and how many of `queued` are in them: the first ones
 */
export function mergeEdus(queued: readonly QueuedEdu[], now: number, limit: number): { edus: Edu[]; taken: number } {
  const edus: Edu[] = []
  const receipts: ReceiptContent[] = []
  let push: JsonObject[] | undefined
  let taken = 0
  for (const one of queued) {
    if (one.kind === 'typing') {
      if (edus.length === limit) break
      const { roomId: room_id, userId: user_id, typing } = one
      edus.push({ edu_type: 'm.typing', content: { room_id, user_id, typing } })
    } else if (one.kind === 'presence') {
      if (!push) {
        if (edus.length === limit) break
        push = []
        edus.push({ edu_type: 'm.presence', content: { push } })
      }
      push.push(presenceUpdate(one, now))
    } else {
      // One EDU has room for one receipt of a user in a room: those of other threads go into another.
      let content = receipts.find((content) => !content[one.roomId]?.['m.read'][one.userId])
      if (!content) {
        if (edus.length === limit) break
        content = {}
        receipts.push(content)
        edus.push({ edu_type: 'm.receipt', content })
      }
      addReceipt(content, one)
    }
    taken++
  }
  return { edus, taken }
}

function addReceipt(content: ReceiptContent, { roomId, userId, threadId, eventId, ts }: ReceiptEdu): void {
  const room = content[roomId] ?? { 'm.read': {} }
  content[roomId] = room
  room['m.read'][userId] = {
    event_ids: [eventId],
    data: threadId === '' ? { ts } : { ts, thread_id: threadId },
  }
}

function presenceUpdate(presence: PresenceEdu, now: number): JsonObject {
  return {
    user_id: presence.userId,
    presence: presence.presence,
    last_active_ago: Math.max(now - presence.lastActiveAt, 0),
    currently_active: presence.currentlyActive,
    ...(presence.statusMsg === null ? {} : { status_msg: presence.statusMsg }),
  }
}
