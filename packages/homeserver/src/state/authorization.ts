import type { RoomEvent } from '../matrix/events.ts'
import { isUserId, serverNameOf } from '../matrix/ids.ts'
import { membershipRefusal } from './membership-rules.ts'
import { powerLevelsRefusal } from './power-level-rules.ts'
import { powerLevels } from './power-levels.ts'
import { type RoomVersion, roomVersion } from './room-versions.ts'
import { membershipOf, type StateView } from './state-view.ts'

/** */
export type { StateView }

/** Whether an event is allowed; if not, why, in words for a log or for a local user. */
export type Authorization = { readonly allowed: true } | { readonly allowed: false; readonly reason: string }

/**
 * Whether a room's state allows an event. Room versions, "Authorisation rules", all but the rules about `auth_events`
 * themselves (`checkAuthEvents`) and about signatures of servers (`requiredSigners`).
 */
export function authorize(event: RoomEvent, version: RoomVersion, state: StateView): Authorization {
  const reason = refusalOf(event, version, state)
  return reason === undefined ? { allowed: true } : { allowed: false, reason }
}

function refusalOf(event: RoomEvent, version: RoomVersion, state: StateView): string | undefined {
  if (event.type === 'm.room.create') return createRefusal(event, version)
  const create = state('m.room.create', '')
  if (create?.roomId !== event.roomId) return 'the room has no such m.room.create event'
  const sendersServer = serverNameOf(event.sender)
  if (create.content['m.federate'] === false && sendersServer !== serverNameOf(create.sender)) {
    return 'the room is not federated'
  }
  if (event.type === 'm.room.aliases' && version.authorisesAliases) {
    return event.stateKey === sendersServer ? undefined : 'm.room.aliases must be of the sender’s server'
  }
  if (event.type === 'm.room.member') return membershipRefusal(event, version, state, create)
  if (membershipOf(state, event.sender) !== 'join') return 'the sender is not in the room'
  return powerRefusal(event, version, state)
}

/** The rules that look at the sender's power level. */
function powerRefusal(event: RoomEvent, version: RoomVersion, state: StateView): string | undefined {
  const levels = powerLevels(version, state)
  const power = levels.of(event.sender)
  if (event.type === 'm.room.third_party_invite') {
    return power >= levels.invite ? undefined : 'the sender may not invite'
  }
  if (power < levels.needed(event.type, event.stateKey !== undefined)) {
    return `the sender's power level does not suffice for ${event.type}`
  }
  if (event.stateKey?.startsWith('@') && event.stateKey !== event.sender) {
    return 'the state key is the user ID of somebody else'
  }
  if (event.type === 'm.room.power_levels') return powerLevelsRefusal(event, version, state, power)
  if (event.type === 'm.room.redaction' && version.authorisesRedactions) {
    const isOwn = event.redacts !== undefined && domainOf(event.redacts) === domainOf(event.eventId)
    return power >= levels.redact || isOwn ? undefined : 'the sender may not redact that event'
  }
  return undefined
}

function createRefusal(event: RoomEvent, version: RoomVersion): string | undefined {
  const { room_version: said, creator, additional_creators: additional } = event.content
  if (event.prevEvents.length > 0) return 'an m.room.create event must be the first'
  if (said !== undefined && (typeof said !== 'string' || !roomVersion(said))) return 'the room version is not known'
  if (version.roomIdIsCreateEvent) {
    if (Object.hasOwn(event.pdu, 'room_id')) return 'an m.room.create event of this room version has no room_id'
  } else if (domainOf(event.roomId) !== serverNameOf(event.sender)) {
    return 'the room ID is not of the sender’s server'
  }
  if (version.creatorInContent && creator === undefined) return 'the room has no creator'
  const areUsers = additional === undefined || (Array.isArray(additional) && additional.every(isUserId))
  if (version.privilegedCreators && !areUsers) return 'additional_creators are not user IDs'
  return undefined
}

/** What follows the first colon of an ID; `undefined` where there is none. */
function domainOf(id: string): string | undefined {
  const colon = id.indexOf(':')
  return colon < 0 ? undefined : id.slice(colon + 1)
}
