import { badJson, forbidden, invalidParam, MatrixError, notFound } from '../../matrix/errors.ts'
import type { Pdu, RoomEvent } from '../../matrix/events.ts'
import { type EventId, isUserId, type RoomId, type ServerName, serverNameOf, type UserId } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'
import { hasGoodContentHash } from '../../state/hashes.ts'
import { readEvent } from '../../state/read-event.ts'
import type { RoomVersion } from '../../state/room-versions.ts'
import { signPdu } from '../../state/signatures.ts'
import { authChainOf } from '../../storage/event-graph.ts'
import { pduTexts } from '../../storage/events.ts'
import { hasLocalMember } from '../../storage/room-population.ts'
import type { RoomParts } from '../ports.ts'
import { buildOnCurrent } from '../send.ts'
import type { ServerAcl } from '../server-acl.ts'
import type { State } from '../states.ts'
import { verifyEvents } from '../verify-events.ts'
import type { RoomWriter, WritableRoom } from '../writable-room.ts'
import type { Handshake } from './handshake.ts'
import { type ReceivedInvite, takeInvite } from './invited.ts'
import { authoriserOf, grantJoin } from './restricted-join.ts'
import { shownState } from './stripped-state.ts'
import { takeMember } from './take-member.ts'

/** A signed event as another server hands it in. */
type HandedIn = { roomId: RoomId; eventId: EventId; event: unknown }

/** What servers outside of a room that we are in may have us do. */
export type MembersForServers = {
  /**
   * `GET /make_join`, `/make_leave`, `/make_knock`: the template of an event.
   * @param versions room versions that the other server knows; not asked for to leave
   * @throws `M_NOT_FOUND`, `M_FORBIDDEN`, `M_INCOMPATIBLE_ROOM_VERSION`, `M_UNABLE_TO_…_JOIN`
   */
  template(
    kind: Handshake,
    origin: ServerName,
    asked: { roomId: RoomId; userId: UserId; versions: readonly string[] },
  ): Promise<{ room_version: string; event: object }>
  /** `PUT /send_join`. @returns the body of the answer as JSON text */
  join(origin: ServerName, handedIn: HandedIn): Promise<string>
  /** `PUT /send_leave` */
  leave(origin: ServerName, handedIn: HandedIn): Promise<void>
  /** `PUT /send_knock`. @returns what is shown of the room: whole events */
  knock(origin: ServerName, handedIn: HandedIn): Promise<Pdu[]>
  /** `PUT /invite` */
  invite(origin: ServerName, received: ReceivedInvite): Promise<Pdu>
}

export function createMembersForServers(parts: RoomParts, writer: RoomWriter, acl: ServerAcl): MembersForServers {
  const { store, serverName, signingKey } = parts

  /** @throws `M_NOT_FOUND` for a room that we are not in, `M_FORBIDDEN` for a server that is kept out */
  async function openRoom(origin: ServerName, roomId: RoomId): Promise<RoomVersion> {
    const version = (await parts.versions.load(store.db, [roomId])).get(roomId)
    if (!version || !(await hasLocalMember(store.db, roomId))) throw notFound('This server is not in that room')
    if (await acl.denies(roomId, origin)) throw forbidden('Your server is denied access to this room')
    return version
  }

  /** Takes a signed event in. @returns it, the state before it, and the room's version */
  async function take(kind: Handshake, origin: ServerName, { roomId, eventId, event: given }: HandedIn) {
    const version = await openRoom(origin, roomId)
    const event = readMember(kind, origin, { roomId, eventId, event: given }, version)
    const authoriser = event.content.join_authorised_via_users_server
    const isVouchedFor = kind === 'join' && version.restrictedJoins && authoriser !== undefined
    if (isVouchedFor && !(isUserId(authoriser) && serverNameOf(authoriser) === serverName)) {
      throw invalidParam('Whoever vouches for the join is no user of this server')
    }
    const pdu = isVouchedFor ? signPdu(event.pdu, version, serverName, signingKey) : event.pdu
    const [verified] = await verifyEvents(parts, [pdu], version)
    if (!verified || 'invalid' in verified) throw invalidParam('The signature of the event could not be verified')
    const { event: signed } = verified
    const taken = await writer.write(roomId, async (room) => {
      if (isVouchedFor) authoriserOf(await grantJoin(parts, room, signed.sender))
      const before = await takeMember(parts, room, signed)
      return { before, shown: kind === 'knock' ? await shownState(parts, room, signed) : [] }
    })
    return { event: signed, ...taken }
  }

  return {
    async template(kind, origin, { roomId, userId, versions }) {
      if (serverNameOf(userId) !== origin) throw forbidden('The user is not of your server')
      const version = await openRoom(origin, roomId)
      if (kind !== 'leave' && !versions.includes(version.id)) throw incompatible(version)
      const event = await writer.write(roomId, (room) => buildTemplate(parts, room, kind, userId))
      const { hashes: _, signatures: __, event_id: ___, ...template } = event.pdu
      return { room_version: version.id, event: template }
    },
    async join(origin, handedIn) {
      const { event, before } = await take('join', origin, handedIn)
      return joinAnswer(parts, event, before)
    },
    async leave(origin, handedIn) {
      await take('leave', origin, handedIn)
    },
    async knock(origin, handedIn) {
      return (await take('knock', origin, handedIn)).shown.map(({ pdu }) => pdu)
    },
    invite: (origin, received) => takeInvite(parts, acl, origin, received),
  }
}

async function buildTemplate(
  parts: RoomParts,
  room: WritableRoom,
  membership: Handshake,
  userId: UserId,
): Promise<RoomEvent> {
  const authoriser = membership === 'join' ? authoriserOf(await grantJoin(parts, room, userId)) : undefined
  const vouched = authoriser === undefined ? {} : { join_authorised_via_users_server: authoriser }
  const content = { membership, ...vouched }
  return buildOnCurrent(parts, room, { type: 'm.room.member', stateKey: userId, sender: userId, content })
}

/** @throws `M_INVALID_PARAM` for anything but the membership event of a user of that server */
function readMember(
  kind: Handshake,
  origin: ServerName,
  { roomId, eventId, event: given }: HandedIn,
  version: RoomVersion,
): RoomEvent {
  const { unsigned: _, ...pdu } = isObject(given) ? given : {}
  const event = readEvent(pdu, version)
  if ('invalid' in event) throw badJson(`The event cannot be read: ${event.invalid}`)
  if (event.roomId !== roomId || event.eventId !== eventId) throw invalidParam('The event is not the one in the path')
  if (event.type !== 'm.room.member' || event.content.membership !== kind) throw invalidParam(`The event is no ${kind}`)
  if (event.stateKey !== event.sender) throw invalidParam('The event is about somebody else than its sender')
  if (serverNameOf(event.sender) !== origin) throw invalidParam('The sender is not of your server')
  if (!hasGoodContentHash(event.pdu)) throw invalidParam('The event does not have the hash that it says')
  return event
}

function incompatible({ id }: RoomVersion): MatrixError {
  return new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', 'Your server does not know the version of this room', {
    fields: { room_version: id },
  })
}

/** The events are put in as the text that they are kept as: of a large room, nobody has to read them all. */
async function joinAnswer({ store, serverName }: RoomParts, event: RoomEvent, before: State): Promise<string> {
  const stateIds = [...before.map.values()]
  const chainIds = await authChainOf(store.db, [...stateIds, event.eventId])
  const [state, chain] = [await pduTexts(store.db, stateIds), await pduTexts(store.db, chainIds)]
  const members = [
    `"origin":${JSON.stringify(serverName)}`,
    '"members_omitted":false',
    `"event":${JSON.stringify(event.pdu)}`,
    `"state":[${state.join(',')}]`,
    `"auth_chain":[${chain.join(',')}]`,
  ]
  return `{${members.join(',')}}`
}
