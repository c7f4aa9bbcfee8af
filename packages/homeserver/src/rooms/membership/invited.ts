import { badJson, forbidden, invalidParam, MatrixError, notFound } from '../../matrix/errors.ts'
import type { Pdu, RoomEvent } from '../../matrix/events.ts'
import { type EventId, isUserId, type RoomId, type ServerName, serverNameOf } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'
import { hasGoodContentHash } from '../../state/hashes.ts'
import { readEvent } from '../../state/read-event.ts'
import { type RoomVersion, roomVersion } from '../../state/room-versions.ts'
import { signPdu } from '../../state/signatures.ts'
import { hasLocalMember } from '../../storage/room-population.ts'
import type { RoomParts } from '../ports.ts'
import type { ServerAcl } from '../server-acl.ts'
import { verifyEvents } from '../verify-events.ts'
import { inviteBlocked } from './invite.ts'
import { shownByServer } from './knock.ts'
import { noteOutside } from './outside.ts'

/** An invitation of one of our users as another server sends it; all of it may be anything. */
export type ReceivedInvite = {
  roomId: RoomId
  eventId: EventId
  roomVersion: string
  event: unknown
  inviteRoomState: unknown
}

/**
 * Takes in an invitation of one of our users: it is kept, and shown to them. Server-server API, "PUT /invite".
 * @returns the event with our signature
 * @throws `M_INVALID_PARAM`, `M_FORBIDDEN`, `M_INVITE_BLOCKED`, `M_NOT_FOUND`, `M_INCOMPATIBLE_ROOM_VERSION`
 */
export async function takeInvite(
  parts: RoomParts,
  acl: ServerAcl,
  origin: ServerName,
  received: ReceivedInvite,
): Promise<Pdu> {
  const { roomId } = received
  const version = roomVersion(received.roomVersion)
  if (!version) {
    throw new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', 'This server does not know that room version', {
      fields: { room_version: received.roomVersion },
    })
  }
  if (await acl.denies(roomId, origin)) throw forbidden('Your server is denied access to this room')
  const event = await readInvite(parts, origin, received, version)
  const target = event.stateKey
  if (!isUserId(target) || serverNameOf(target) !== parts.serverName) throw invalidParam('This is no user of ours')
  if (!(await parts.localUsers.exists(target))) throw notFound('There is no such user here')
  if (await parts.localUsers.blocksInvites(target)) throw inviteBlocked()
  const shown = await shownByServer(parts, roomId, version, received.inviteRoomState)
  if (version.roomIdIsCreateEvent) requireCreateEvent(received.inviteRoomState, shown)
  const pdu = signPdu(event.pdu, version, parts.serverName, parts.signingKey)
  // In a room that we are in, the event comes by the usual way, and counts when it is part of the room.
  if (!(await hasLocalMember(parts.store.db, roomId))) {
    await parts.store.transaction((tx) =>
      noteOutside(parts, tx, version, { ...event, pdu }, { events: shown, toldBy: origin }),
    )
  }
  return pdu
}

async function readInvite(
  parts: RoomParts,
  origin: ServerName,
  { roomId, eventId, event: given }: ReceivedInvite,
  version: RoomVersion,
): Promise<RoomEvent> {
  if (!isObject(given)) throw badJson('The event is no object')
  const { unsigned: _, ...pdu } = given
  const read = readEvent(pdu, version)
  if ('invalid' in read) throw badJson(`The event cannot be read: ${read.invalid}`)
  if (read.roomId !== roomId || read.eventId !== eventId) throw invalidParam('The event is not the one in the path')
  if (read.type !== 'm.room.member' || read.content.membership !== 'invite') {
    throw invalidParam('The event is no invitation')
  }
  if (serverNameOf(read.sender) !== origin) throw invalidParam('The sender is not of your server')
  const [result] = await verifyEvents(parts, [pdu], version)
  if (!result || 'invalid' in result) throw invalidParam('The signature of the event could not be verified')
  if (!hasGoodContentHash(read.pdu)) throw invalidParam('The event does not have the hash that it says')
  return result.event
}

/** As of room version 12: all that is shown has to be whole events of the room, its create event among them. */
function requireCreateEvent(given: unknown, shown: readonly RoomEvent[]): void {
  const isComplete = Array.isArray(given) && given.length === shown.length && shown.every((event) => event.eventId)
  if (!isComplete || !shown.some(({ type }) => type === 'm.room.create')) {
    throw invalidParam('invite_room_state is not made of whole events of the room, with its m.room.create')
  }
}
