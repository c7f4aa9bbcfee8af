import { forbidden, notFound } from '../../matrix/errors.ts'
import { type ServerName, serverNameOf, type UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { buildEvent } from '../../state/build-event.ts'
import { referenceHash } from '../../state/hashes.ts'
import { membershipRow } from '../../storage/memberships.ts'
import { hasLocalMember } from '../../storage/room-population.ts'
import type { RoomParts } from '../ports.ts'
import { newEventId } from '../send.ts'
import type { RoomWriter } from '../writable-room.ts'
import { deliver, type Outsider, prepare, serversToAsk } from './handshake.ts'
import { changeMember } from './member-change.ts'
import { noteOutside } from './outside.ts'

const SEND_LIMITS = { timeoutMs: 20_000, maxBytes: 1024 * 1024 }
const ENDPOINTS = ['v2/send_leave', 'v1/send_leave']
/** A person waits: beyond so many servers nobody is asked to pass it on. */
const MAX_SERVERS = 3

/**
 * Leaves a room, rejects an invitation or withdraws a knock. A user who is out already stays so. Server-server API, "Leaving
 * Rooms (Rejecting Invites)".
 * @throws 404 for a room that the user has nothing to do with; `M_FORBIDDEN` for the banned
 */
export async function leaveRoom(
  parts: RoomParts,
  writer: RoomWriter,
  outsider: Outsider,
  more: JsonObject,
): Promise<void> {
  const { roomId, userId } = outsider
  const own = await membershipRow(parts.store.db, roomId, userId)
  if (own?.membership === 'leave') return
  if (own?.membership === 'ban') throw forbidden('You are banned from this room')
  if (await hasLocalMember(parts.store.db, roomId)) {
    const content = { ...more, membership: 'leave' as const }
    await writer.write(roomId, (room) => changeMember(parts, room, { sender: userId, target: userId, content }))
    return
  }
  if (!own) throw notFound('You are not in this room')
  if (!(await leaveThroughOthers(parts, outsider, more, serverNameOf(own.sender)))) {
    await leaveAlone(parts, outsider, more)
  }
}

/** @returns whether a server in the room has passed it on */
async function leaveThroughOthers(
  parts: RoomParts,
  outsider: Outsider,
  more: JsonObject,
  inviter: ServerName,
): Promise<boolean> {
  const servers = (await serversToAsk(parts, outsider, [inviter])).slice(0, MAX_SERVERS)
  for (const server of servers) {
    const prepared = await prepare(parts, server, 'leave', outsider, more)
    if ('kind' in prepared) continue
    const answer = await deliver(parts, prepared, ENDPOINTS, SEND_LIMITS)
    if ('kind' in answer) continue
    await parts.store.transaction((tx) => noteOutside(parts, tx, prepared.version, prepared.event))
    return true
  }
  return false
}

/** The user is out for us, whatever others think: an event that nobody else will see says so. */
async function leaveAlone(parts: RoomParts, { roomId, userId }: Outsider, more: JsonObject): Promise<void> {
  const { store, events, clock, random, serverName, signingKey } = parts
  const version = (await parts.versions.load(store.db, [roomId])).get(roomId)
  const own = await membershipRow(store.db, roomId, userId)
  const before = own && version && (await events.load(store.db, version, [own.event_id])).get(own.event_id)?.event
  if (!before || !version) throw notFound('You are not in this room')
  const event = buildEvent(
    {
      roomId,
      type: 'm.room.member',
      stateKey: userId,
      sender: userId as UserId,
      content: { ...more, membership: 'leave' },
      prevEvents: [before.eventId],
      authEvents: [before.eventId],
      depth: before.depth + 1,
      originServerTs: clock.now(),
      eventId: newEventId(random, serverName),
      referenceHashOf: () => referenceHash(before.pdu, version),
    },
    version,
    serverName,
    signingKey,
  )
  if ('invalid' in event) throw new Error(`an event for ourselves is not valid: ${event.invalid}`)
  await store.transaction((tx) => noteOutside(parts, tx, version, event))
}
