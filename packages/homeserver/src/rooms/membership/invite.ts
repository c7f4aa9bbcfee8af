import { forbidden, MatrixError, notFound } from '../../matrix/errors.ts'
import type { Pdu, RoomEvent } from '../../matrix/events.ts'
import type { FederationAnswer } from '../../matrix/federation.ts'
import { type EventId, type RoomId, type ServerName, serverNameOf, type UserId } from '../../matrix/ids.ts'
import { isObject, type JsonObject } from '../../matrix/json.ts'
import { authorize } from '../../state/authorization.ts'
import type { RoomVersion } from '../../state/room-versions.ts'
import { saveStrippedState } from '../../storage/stripped-state.ts'
import { append } from '../append.ts'
import { memberContent } from '../member-content.ts'
import type { RoomParts } from '../ports.ts'
import { buildOnCurrent } from '../send.ts'
import { decisiveKeys, stateView } from '../state-view.ts'
import type { State } from '../states.ts'
import { verifyEvents } from '../verify-events.ts'
import type { RoomWriter, WritableRoom } from '../writable-room.ts'
import { changeMember, memberEvent } from './member-change.ts'
import { refusalOf } from './refusal.ts'
import { shownState, strippedText } from './stripped-state.ts'

export type Invitation = { sender: UserId; target: UserId; more: JsonObject }

const LIMITS = { timeoutMs: 30_000, maxBytes: 1024 * 1024 }

/**
 * Invites somebody: one of our users, or with the consent of their server somebody else's. Who is invited by the same sender
 * already stays so. Server-server API, "Inviting to a room".
 * @throws `M_FORBIDDEN`, `M_INVITE_BLOCKED`, `M_NOT_FOUND` for no user of ours, `M_UNSUPPORTED_ROOM_VERSION`, 502
 */
export async function invite(
  parts: RoomParts,
  writer: RoomWriter,
  roomId: RoomId,
  invitation: Invitation,
): Promise<EventId> {
  const { target } = invitation
  const content = await memberContent(parts, target, 'invite', invitation.more)
  if (serverNameOf(target) !== parts.serverName) return inviteRemote(parts, writer, roomId, invitation, content)
  if (!(await parts.localUsers.exists(target))) throw notFound('There is no such user here')
  if (await parts.localUsers.blocksInvites(target)) throw inviteBlocked()
  return writer.write(roomId, async (room) => {
    const change = { ...invitation, content: { ...content, membership: 'invite' as const } }
    const eventId = await changeMember(parts, room, change)
    const event = await memberEvent(parts, room, target)
    if (event) {
      const shown = await shownState(parts, room, event)
      const events = strippedText([...shown, event])
      await saveStrippedState(room.tx.db, { roomId, userId: target, events, toldBy: parts.serverName })
    }
    return eventId
  })
}

export const inviteBlocked = () => new MatrixError(403, 'M_INVITE_BLOCKED', 'This user takes no invitations')

/** An invitation that only their server has yet to consent to. */
type Draft = { event: RoomEvent; shown: RoomEvent[]; before: State; version: RoomVersion }

async function inviteRemote(
  parts: RoomParts,
  writer: RoomWriter,
  roomId: RoomId,
  { sender, target }: Invitation,
  content: JsonObject,
): Promise<EventId> {
  const draft = await writer.write(roomId, async (room): Promise<Draft | EventId> => {
    const known = await memberEvent(parts, room, target)
    if (known?.sender === sender && known.content.membership === 'invite') return known.eventId
    const event = await buildOnCurrent(parts, room, { type: 'm.room.member', stateKey: target, sender, content })
    await requireFederation(parts, room)
    return { event, shown: await shownState(parts, room, event), before: room.current!, version: room.version }
  })
  if (typeof draft === 'string') return draft
  const event = await askTheirServer(parts, serverNameOf(target), draft)
  await writer.write(roomId, async (room) => {
    const view = await stateView(parts, room.tx.db, room, room.current!.map, decisiveKeys(event, room.version))
    const verdict = authorize(event, room.version, view)
    if (!verdict.allowed) throw forbidden(verdict.reason)
    await append(parts, room, { event, before: draft.before, tell: 'everybody' })
  })
  return event.eventId
}

/** The rules would keep the user out later on; better to say so now. */
async function requireFederation(parts: RoomParts, room: WritableRoom): Promise<void> {
  const state = await stateView(parts, room.tx.db, room, room.current!.map, [['m.room.create', '']])
  if (state('m.room.create', '')?.content['m.federate'] === false) throw forbidden('This room is not federated')
}

/** @returns the event with the signature of the invited user's server */
async function askTheirServer(parts: RoomParts, server: ServerName, draft: Draft): Promise<RoomEvent> {
  const { event, shown, version } = draft
  const state = shown.map(({ pdu }) => pdu)
  const path = `${encodeURIComponent(event.roomId)}/${encodeURIComponent(event.eventId)}`
  const put = (endpoint: string, body: object) =>
    parts.remote.request(server, {
      method: 'PUT',
      path: `/_matrix/federation/${endpoint}/${path}`,
      body,
      urgency: 'insist',
      ...LIMITS,
    })
  let answer = await put('v2/invite', { room_version: version.id, event: event.pdu, invite_room_state: state })
  if (isOfOldServer(answer) && (version.id === '1' || version.id === '2')) {
    answer = await put('v1/invite', { ...event.pdu, unsigned: { invite_room_state: state } })
  }
  const returned = eventIn(answer)
  if (!returned) throw refusedInvite(server, answer)
  const signed = await withSignature(parts, event, version, server, returned)
  if (!signed) throw new MatrixError(502, 'M_UNKNOWN', 'The server of the invited user did not sign the invitation')
  return signed
}

const isOfOldServer = (answer: FederationAnswer) =>
  answer.kind === 'answer' && (answer.status === 400 || answer.status === 404 || answer.status === 405)

function eventIn(answer: FederationAnswer): Record<string, unknown> | undefined {
  if (answer.kind !== 'answer' || answer.status !== 200) return undefined
  const body = Array.isArray(answer.body) ? answer.body[1] : answer.body
  return isObject(body) && isObject(body.event) ? body.event : undefined
}

function refusedInvite(server: ServerName, answer: FederationAnswer): MatrixError {
  const refusal = refusalOf(server, answer)
  if (refusal.kind !== 'refused' || refusal.error.status === 404) {
    return new MatrixError(502, 'M_UNKNOWN', 'The server of the invited user could not be told')
  }
  const { status, errcode, message } = refusal.error
  const isVersion = errcode === 'M_INCOMPATIBLE_ROOM_VERSION'
  return new MatrixError(status, isVersion ? 'M_UNSUPPORTED_ROOM_VERSION' : errcode, message)
}

/** Our event as it was, with what the other server has signed: the rest is not for it to change. */
async function withSignature(
  parts: RoomParts,
  event: RoomEvent,
  version: RoomVersion,
  server: ServerName,
  returned: Record<string, unknown>,
): Promise<RoomEvent | undefined> {
  const theirs = isObject(returned.signatures) ? returned.signatures : {}
  const signature = Object.hasOwn(theirs, server) ? theirs[server] : undefined
  if (!isObject(signature)) return undefined
  const pdu = { ...event.pdu, signatures: { ...event.pdu.signatures, [server]: signature } } as Pdu
  const [result] = await verifyEvents(parts, [pdu], version)
  return result && 'event' in result ? result.event : undefined
}
