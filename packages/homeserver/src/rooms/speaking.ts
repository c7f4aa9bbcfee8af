import { forbidden, invalidParam, MatrixError, userSuspended } from '../matrix/errors.ts'
import { stateEntry } from '../matrix/events.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { canonicalJson, type JsonObject } from '../matrix/json.ts'
import { powerLevels } from '../state/power-levels.ts'
import { eventOfTransaction, forgetEventTransactions, noteEventTransaction } from '../storage/event-transactions.ts'
import { eventRow } from '../storage/events.ts'
import { membershipRow } from '../storage/memberships.ts'
import type { RoomParts } from './ports.ts'
import { checkRelation } from './relation-checks.ts'
import { type Draft, send } from './send.ts'
import type { StateCheck } from './state-checks.ts'
import { stateView } from './state-view.ts'
import type { RoomWriter, WritableRoom } from './writable-room.ts'

type Speaker = { userId: UserId; deviceId: string }
/** Who is suspended takes back nothing but their own words. Client-server API, "Account suspension". */
type Redactor = Speaker & { isSuspended?: boolean }

/** Where a client's transaction ID holds: the endpoint. */
type Transaction = { endpoint: string; txnId: string }

type Said = { type: string; stateKey?: string | undefined; content: JsonObject; originServerTs?: number | undefined }

export type Speaking = {
  /**
   * `PUT /rooms/{roomId}/send/…` and `…/state/…`: what a member says, once per transaction. State that is as it is said to
   * be already makes no event.
   * @throws `M_FORBIDDEN`, 413 `M_TOO_LARGE`, `M_BAD_JSON`, and what `StateCheck` throws
   */
  say(speaker: Speaker, roomId: RoomId, said: Said, transaction?: Transaction): Promise<EventId>
  /**
   * `PUT /rooms/{roomId}/redact/…`: one's own events, or anybody's with the power for it. An event that is not here, but may be on
   * other servers, is taken for somebody else's.
   * @throws `M_FORBIDDEN`, `M_INVALID_PARAM`, `M_USER_SUSPENDED`
   */
  redact(
    speaker: Redactor,
    roomId: RoomId,
    target: EventId,
    content: JsonObject,
    transaction?: Transaction,
  ): Promise<EventId>
  /** Forgets old transactions: whoever repeats one of them now says it again. @param now epoch ms */
  cleanUp(now: number): Promise<void>
}

/** How long a client's transaction is remembered (ms). */
const REMEMBERED_MS = 7 * 24 * 3_600_000

export function createSpeaking(parts: RoomParts, writer: RoomWriter, checkState: StateCheck): Speaking {
  const { store, clock } = parts

  async function once(
    speaker: Speaker,
    roomId: RoomId,
    transaction: Transaction | undefined,
    check: () => Promise<unknown>,
    task: (room: WritableRoom) => Promise<EventId>,
  ): Promise<EventId> {
    const scope = transaction && { ...speaker, scope: `${transaction.endpoint} ${roomId}`, txnId: transaction.txnId }
    const before = scope && (await eventOfTransaction(store.db, scope))
    if (before !== undefined) return before
    const own = await membershipRow(store.db, roomId, speaker.userId)
    if (own?.membership !== 'join') throw notInRoom()
    await check()
    return writer.write(roomId, async (room) => {
      // The same transaction may have been waiting in front of this one.
      const same = scope && (await eventOfTransaction(room.tx.db, scope))
      if (same !== undefined) return same
      const eventId = await task(room)
      if (scope) await noteEventTransaction(room.tx.db, scope, eventId, clock.now())
      return eventId
    })
  }

  return {
    say(speaker, roomId, said, transaction) {
      const { stateKey } = said
      const check = () => checkState(roomId, said)
      return once(speaker, roomId, transaction, check, async (room) => {
        const draft: Draft = { ...said, sender: speaker.userId }
        const same = await sameState(parts, room, draft)
        if (stateKey === undefined) await checkRelation(room.tx.db, draft)
        return same ?? (await send(parts, room, draft)).eventId
      })
    },

    redact: (speaker, roomId, target, content, transaction) =>
      once(
        speaker,
        roomId,
        transaction,
        async () => {},
        async (room) => {
          await requireRedactable(parts, room, speaker, target)
          const draft: Draft = { type: 'm.room.redaction', sender: speaker.userId, content, redacts: target }
          return (await send(parts, room, draft)).eventId
        },
      ),

    cleanUp: (now) => forgetEventTransactions(store.db, now - REMEMBERED_MS),
  }
}

export const notInRoom = () => forbidden('You are not in this room')

/** The event that says already what a draft says. */
async function sameState(parts: RoomParts, room: WritableRoom, draft: Draft): Promise<EventId | undefined> {
  const { type, stateKey, sender, content } = draft
  if (stateKey === undefined) return undefined
  const eventId = room.current?.map.get(stateEntry(type, stateKey))
  if (eventId === undefined) return undefined
  const known = (await parts.events.load(room.tx.db, room.version, [eventId])).get(eventId)?.event
  const isSame = known?.sender === sender && canonicalJson(known.content) === canonicalJson(content)
  return isSame ? eventId : undefined
}

async function requireRedactable(
  parts: RoomParts,
  room: WritableRoom,
  { userId, isSuspended }: Redactor,
  target: EventId,
): Promise<void> {
  const row = await eventRow(room.tx.db, target)
  if (row && row.room_id !== room.roomId) throw invalidParam('The event is not in this room')
  if (row?.type === 'm.room.create') throw new MatrixError(403, 'M_FORBIDDEN', 'A create event cannot be redacted')
  if (row?.sender === userId) return
  if (isSuspended) throw userSuspended()
  const keys = [
    ['m.room.create', ''],
    ['m.room.power_levels', ''],
  ] as const
  const levels = powerLevels(room.version, await stateView(parts, room.tx.db, room, room.current!.map, keys))
  if (levels.of(userId) < levels.redact) throw forbidden('You do not have the power to redact the events of others')
}
