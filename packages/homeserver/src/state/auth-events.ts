import type { RoomEvent, StateKeyTuple } from '../matrix/events.ts'
import type { EventId } from '../matrix/ids.ts'
import { isObject, type JsonObject } from '../matrix/json.ts'
import type { Authorization } from './authorization.ts'
import type { RoomVersion } from './room-versions.ts'

/**
 * The pieces of the room's state that an event's `auth_events` are to name, as far as the state has them. Server-server
 * API, "Auth events selection".
 */
export function authEventKeys(
  event: { type: string; sender: string; stateKey?: string | undefined; content: JsonObject },
  version: RoomVersion,
): StateKeyTuple[] {
  if (event.type === 'm.room.create') return []
  const keys: StateKeyTuple[] = version.roomIdIsCreateEvent ? [] : [['m.room.create', '']]
  keys.push(['m.room.power_levels', ''])
  const members = new Set<string>([event.sender])
  if (event.type === 'm.room.member' && event.stateKey !== undefined) {
    const { membership, join_authorised_via_users_server: authoriser } = event.content
    members.add(event.stateKey)
    if (membership === 'join' && version.restrictedJoins && typeof authoriser === 'string') members.add(authoriser)
    if (membership === 'join' || membership === 'invite' || membership === 'knock') keys.push(['m.room.join_rules', ''])
    const token = membership === 'invite' ? thirdPartyInviteToken(event.content) : undefined
    if (token !== undefined) keys.push(['m.room.third_party_invite', token])
  }
  return [...keys, ...[...members].map((userId): StateKeyTuple => ['m.room.member', userId])]
}

function thirdPartyInviteToken(content: JsonObject): string | undefined {
  const invite = content.third_party_invite
  const signed = isObject(invite) ? invite.signed : undefined
  return isObject(signed) && typeof signed.token === 'string' ? signed.token : undefined
}

/**
 * The rules about an event's `auth_events` themselves. Room versions, "Authorisation rules", the rule "Considering the
 * event's `auth_events`".
 * @param authEvents all that the event names
 * @param isRejected whether one of them was rejected
 */
export function checkAuthEvents(
  event: RoomEvent,
  version: RoomVersion,
  authEvents: readonly RoomEvent[],
  isRejected: (eventId: EventId) => boolean,
): Authorization {
  if (event.type === 'm.room.create') return { allowed: true }
  const reason = offenceOf(event, version, authEvents, isRejected)
  return reason === undefined ? { allowed: true } : { allowed: false, reason }
}

function offenceOf(
  event: RoomEvent,
  version: RoomVersion,
  authEvents: readonly RoomEvent[],
  isRejected: (eventId: EventId) => boolean,
): string | undefined {
  const expected = new Set(authEventKeys(event, version).map((key) => JSON.stringify(key)))
  const seen = new Set<string>()
  if (new Set(event.authEvents).size < event.authEvents.length) return 'an auth event is named twice'
  for (const authEvent of authEvents) {
    const key = JSON.stringify([authEvent.type, authEvent.stateKey])
    if (seen.has(key)) return `more than one auth event is ${key}`
    seen.add(key)
    if (!expected.has(key)) return `no auth event may be ${key}`
    if (isRejected(authEvent.eventId)) return `the auth event ${authEvent.eventId} was rejected`
    if (authEvent.roomId !== event.roomId) return `the auth event ${authEvent.eventId} is of another room`
  }
  const needsCreate = !version.roomIdIsCreateEvent && !seen.has(JSON.stringify(['m.room.create', '']))
  return needsCreate ? 'no auth event is the m.room.create' : undefined
}
