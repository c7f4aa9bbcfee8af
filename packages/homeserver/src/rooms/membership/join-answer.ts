import { type RoomEvent, stateEntry } from '../../matrix/events.ts'
import type { EventId, ServerName } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'
import { authorize } from '../../state/authorization.ts'
import type { RoomVersion } from '../../state/room-versions.ts'
import type { KnownEvent } from '../events.ts'
import { judgeByAuthEvents, judgeOutliers } from '../outliers.ts'
import type { RoomParts } from '../ports.ts'
import { verifyEvents } from '../verify-events.ts'

/** A join of ours that a server has accepted. */
export type Accepted = { server: ServerName; version: RoomVersion; event: RoomEvent }

/** A room as the server that let us in shows it, checked. */
export type JoinedRoom = {
  /** Our join, with the signature of whoever vouched for it. */
  event: RoomEvent
  /** The state before it. */
  state: Map<string, EventId>
  /** The events of the state, and all that authorizes them and ours. */
  outliers: KnownEvent[]
}

/** Events of one answer that are looked at. A room of many members has as many events in its state. */
const MAX_EVENTS = 250_000

/**
 * Checks the answer to `send_join`: signatures and hashes of all events, each authorized by those that it names, and our own
 * by the state. An event that does not stand the test is left out of the state, as it would be anywhere else.
 * @param body anything
 */
export async function readJoinAnswer(
  parts: RoomParts,
  accepted: Accepted,
  body: Record<string, unknown>,
): Promise<JoinedRoom | { invalid: string }> {
  const { state: stateList, auth_chain: authList } = body
  if (!Array.isArray(stateList) || !Array.isArray(authList)) return { invalid: 'state or auth_chain is missing' }
  if (body.members_omitted === true) return { invalid: 'members are left out, and nobody asked for that' }
  if (stateList.length + authList.length > MAX_EVENTS) return { invalid: 'there are too many events' }
  const event = await countersigned(parts, accepted, body.event)
  if (!event) return { invalid: 'whoever vouches for the join has not signed it' }
  const { version } = accepted
  const room = { roomId: event.roomId, version }
  const verified = await verifyEvents(parts, [...stateList, ...authList], version)
  const events = new Map<EventId, RoomEvent>()
  for (const one of verified) if ('event' in one) events.set(one.event.eventId, one.event)
  events.delete(event.eventId)
  const outliers = await judgeOutliers(parts, parts.store.db, room, [...events.values()])
  const judged = new Map(outliers.map((one) => [one.event.eventId, one]))
  const state = new Map<string, EventId>()
  for (const one of verified.slice(0, stateList.length)) {
    const known = 'event' in one ? judged.get(one.event.eventId) : undefined
    if (!known || known.rejected || known.event.stateKey === undefined) continue
    const entry = stateEntry(known.event.type, known.event.stateKey)
    if (state.has(entry) && state.get(entry) !== known.event.eventId)
      return { invalid: `the state has two events for ${JSON.stringify(entry)}` }
    state.set(entry, known.event.eventId)
  }
  const offence = offenceOf(event, version, state, judged)
  return offence === undefined ? { event, state, outliers } : { invalid: offence }
}

/** Whether the room can be what it is said to be, and we can be in it. */
function offenceOf(
  event: RoomEvent,
  version: RoomVersion,
  state: ReadonlyMap<string, EventId>,
  judged: ReadonlyMap<EventId, KnownEvent>,
): string | undefined {
  const view = (type: string, stateKey: string) => judged.get(state.get(stateEntry(type, stateKey))!)?.event
  const create = view('m.room.create', '')
  if (!create) return 'the state has no m.room.create event that can be used'
  const { room_version: versionId = '1' } = create.content
  if (versionId !== version.id) return 'the room is of another version than was said'
  const auth = event.authEvents.map((id) => judged.get(id))
  if (!auth.every((one) => one !== undefined)) return 'what authorizes our own join is missing'
  const byAuth = judgeByAuthEvents(event, version, auth, create)
  if (!byAuth.allowed) return `our own join is not authorized: ${byAuth.reason}`
  const byState = authorize(event, version, view)
  return byState.allowed ? undefined : `the state does not allow our own join: ${byState.reason}`
}

/**
 * Our join with the signatures that the other server has added, where one is needed: the rest is not for it to change.
 * @param returned the event as it came back: anything
 */
async function countersigned(
  parts: RoomParts,
  { server, version, event }: Accepted,
  returned: unknown,
): Promise<RoomEvent | undefined> {
  if (event.content.join_authorised_via_users_server === undefined) return event
  const theirs = isObject(returned) && isObject(returned.signatures) ? returned.signatures : {}
  const signature = Object.hasOwn(theirs, server) ? theirs[server] : undefined
  if (!isObject(signature)) return undefined
  const pdu = { ...event.pdu, signatures: { ...event.pdu.signatures, [server]: signature } }
  const [result] = await verifyEvents(parts, [pdu], version)
  return result && 'event' in result ? result.event : undefined
}
