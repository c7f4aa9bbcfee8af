import { MatrixError } from '../../matrix/errors.ts'
import type { UserId } from '../../matrix/ids.ts'
import { createWorkerLoop, type PassResult } from '../../platform/worker-loop.ts'
import { addDeparture, claimDeparture, nextDeparture, removeDeparture } from '../../storage/departures.ts'
import { membershipsOf } from '../../storage/memberships.ts'
import type { Tx } from '../../storage/store.ts'
import type { RoomParts } from '../ports.ts'
import type { RoomWriter } from '../writable-room.ts'
import { leaveRoom } from './leave.ts'

/** Users whose accounts are closed, and who leave all rooms on that account. */
export type Departures = {
  /** Has a user leave all rooms and reject all invitations, soon after the transaction. */
  schedule(tx: Tx, userId: UserId): Promise<void>
  start(): void
  stop(): Promise<void>
}

/** So much later (ms) a departure that did not come to its end is tried again. */
const RETRY_MS = 10 * 60_000

/** Client-server API, "POST /account/deactivate". What a crash interrupts goes on at the next start. */
export function createDepartures(parts: RoomParts, writer: RoomWriter): Departures {
  const { store, clock, log } = parts

  async function leaveAll(userId: UserId, signal: AbortSignal): Promise<boolean> {
    let isDone = true
    for (const { room_id: roomId, membership } of await membershipsOf(store.db, userId)) {
      if (membership === 'leave' || membership === 'ban') continue
      if (signal.aborted) return false
      try {
        await leaveRoom(parts, writer, { roomId, userId }, {})
      } catch (error) {
        // What the rules of the room forbid will not be allowed later either.
        if (!(error instanceof MatrixError)) isDone = false
        log.warn({ err: error, roomId, userId }, 'a closed account could not leave a room')
      }
    }
    return isDone
  }

  async function pass(signal: AbortSignal): Promise<PassResult> {
    const next = await nextDeparture(store.db)
    if (!next) return { more: false, nextAt: null }
    if (next.due_at > clock.now()) return { more: false, nextAt: next.due_at }
    if (await claimDeparture(store.db, next, clock.now() + RETRY_MS)) {
      if (await leaveAll(next.user_id, signal)) await removeDeparture(store.db, next.user_id)
    }
    return { more: true, nextAt: null }
  }

  const loop = createWorkerLoop({
    clock,
    pass,
    lookEveryMs: store.lookEveryMs,
    onError: (error) => log.error({ err: error }, 'leaving the rooms of closed accounts failed'),
  })
  return {
    async schedule(tx, userId) {
      await addDeparture(tx, userId, clock.now())
      tx.afterCommit(loop.wake)
    },
    start: loop.start,
    stop: loop.stop,
  }
}
