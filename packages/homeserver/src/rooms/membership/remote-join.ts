import type { RoomEvent } from '../../matrix/events.ts'
import type { EventId, ServerName } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { eventFacts } from '../../storage/events.ts'
import { hasLocalMember } from '../../storage/room-population.ts'
import { append } from '../append.ts'
import { storeOutliers } from '../outliers.ts'
import type { RoomParts } from '../ports.ts'
import type { RoomWriter, WritableRoom } from '../writable-room.ts'
import { seeOut } from './guest-access.ts'
import { deliver, type Outsider, prepare, throughServers } from './handshake.ts'
import { type JoinedRoom, readJoinAnswer } from './join-answer.ts'
import type { Refusal } from './refusal.ts'

/** A large room's answer takes its time. */
const SEND_LIMITS = { timeoutMs: 180_000, maxBytes: 100 * 1024 * 1024 }
const ENDPOINTS = ['v2/send_join', 'v1/send_join']

/**
 * Joins a room with the help of one of these servers. A join that fails leaves nothing behind. Server-server API, "Joining
 * Rooms".
 * @param content of the membership event
 * @param isGuest whether the user leaves at once where guests may not be
 */
export async function joinThrough(
  parts: RoomParts,
  writer: RoomWriter,
  servers: readonly ServerName[],
  outsider: Outsider,
  content: JsonObject,
  isGuest: boolean,
): Promise<EventId> {
  return throughServers(servers, async (server) => {
    const prepared = await prepare(parts, server, 'join', outsider, content)
    if ('kind' in prepared) return prepared
    const { version, event } = prepared
    const answer = await deliver(parts, prepared, ENDPOINTS, SEND_LIMITS)
    if ('kind' in answer) return answer
    const joined = await readJoinAnswer(parts, { server, version, event }, answer.body)
    if ('invalid' in joined) {
      const { roomId } = outsider
      parts.log.warn({ server, roomId, reason: joined.invalid }, 'what a server answered to a join cannot be used')
      return { kind: 'failed' } satisfies Refusal
    }
    await writer.writeNew(outsider.roomId, version, async (room) => {
      await enter(parts, room, joined)
      // Whether guests are let in can be seen from within alone.
      if (isGuest) await seeOut(parts, room, [outsider.userId])
    })
    return { done: joined.event.eventId }
  })
}

/** Makes the room ours: what is known of its state, and our join as the one event that is in its graph. */
async function enter(parts: RoomParts, room: WritableRoom, { event, state, outliers }: JoinedRoom): Promise<void> {
  const { tx, roomId } = room
  await storeOutliers(parts, tx, outliers)
  // What we had of a room that we were in once has become a part of its past.
  if (!(await hasLocalMember(tx.db, roomId))) room.extremities = []
  const before = await parts.states.derive(tx, roomId, undefined, state)
  await append(parts, room, { event, before, missing: await notPlaced(room, event) })
}

async function notPlaced({ tx }: WritableRoom, { prevEvents }: RoomEvent): Promise<EventId[]> {
  const facts = await eventFacts(tx.db, prevEvents)
  return prevEvents.filter((id) => facts.get(id)?.position == null)
}
