import type { RoomEvent } from '../matrix/events.ts'
import { isUserId } from '../matrix/ids.ts'
import { powerLevels } from './power-levels.ts'
import type { RoomVersion } from './room-versions.ts'
import { creatorsOf, joinRuleOf, membershipOf, type StateView } from './state-view.ts'
import { thirdPartyInviteRefusal } from './third-party-invite.ts'

/** A change of membership as its rules look at it. */
type Change = { event: RoomEvent; target: string; version: RoomVersion; state: StateView }

/**
 * The rules of `m.room.member`. Room versions, "Authorisation rules".
 * @returns why the event is refused; `undefined` if it is allowed
 */
export function membershipRefusal(
  event: RoomEvent,
  version: RoomVersion,
  state: StateView,
  create: RoomEvent,
): string | undefined {
  const { membership, join_authorised_via_users_server: authoriser } = event.content
  if (event.stateKey === undefined) return 'an m.room.member event must be state'
  if (version.restrictedJoins && authoriser !== undefined && !isUserId(authoriser)) {
    return 'join_authorised_via_users_server is no user ID'
  }
  const change = { event, target: event.stateKey, version, state }
  switch (membership) {
    case 'join':
      return isFirstJoin(change, create) ? undefined : joinRefusal(change)
    case 'invite':
      return inviteRefusal(change)
    case 'leave':
      return leaveRefusal(change)
    case 'ban':
      return banRefusal(change)
    case 'knock':
      return version.knocking ? knockRefusal(change) : 'this room version has no knocking'
    default:
      return 'the membership is unknown'
  }
}

/** Whether it is the creator's join, right after the creation. */
function isFirstJoin({ event, target, version }: Change, create: RoomEvent): boolean {
  const [creator] = creatorsOf(create, version)
  return event.prevEvents.length === 1 && event.prevEvents[0] === create.eventId && target === creator
}

function joinRefusal({ event, target, version, state }: Change): string | undefined {
  if (event.sender !== target) return 'nobody can join for somebody else'
  const current = membershipOf(state, target)
  if (current === 'ban') return 'the user is banned'
  const rule = joinRuleOf(state)
  const wasAsked = current === 'join' || current === 'invite'
  if (rule === 'public' || (wasAsked && admitsInvited(rule, version))) return undefined
  if (!admitsByRestriction(rule, version)) return 'the user is not invited'
  return mayAuthorise(event.content.join_authorised_via_users_server, version, state)
    ? undefined
    : 'no member who may invite has authorised the join'
}

function admitsInvited(rule: string, version: RoomVersion): boolean {
  return rule === 'invite' || (rule === 'knock' && version.knocking) || admitsByRestriction(rule, version)
}

function admitsByRestriction(rule: string, version: RoomVersion): boolean {
  return (
    (rule === 'restricted' && version.restrictedJoins) || (rule === 'knock_restricted' && version.knockRestrictedJoins)
  )
}

function mayAuthorise(userId: unknown, version: RoomVersion, state: StateView): boolean {
  if (typeof userId !== 'string' || membershipOf(state, userId) !== 'join') return false
  const levels = powerLevels(version, state)
  return levels.of(userId) >= levels.invite
}

function inviteRefusal({ event, target, version, state }: Change): string | undefined {
  if (Object.hasOwn(event.content, 'third_party_invite')) return thirdPartyInviteRefusal(event, target, state)
  if (membershipOf(state, event.sender) !== 'join') return 'the sender is not in the room'
  const current = membershipOf(state, target)
  if (current === 'join') return 'the user is in the room already'
  if (current === 'ban') return 'the user is banned'
  const levels = powerLevels(version, state)
  return levels.of(event.sender) >= levels.invite ? undefined : 'the sender may not invite'
}

function leaveRefusal({ event, target, version, state }: Change): string | undefined {
  const current = membershipOf(state, target)
  if (event.sender === target) {
    const canLeave = current === 'invite' || current === 'join' || (current === 'knock' && version.knocking)
    return canLeave ? undefined : 'the user is neither in the room nor invited'
  }
  if (membershipOf(state, event.sender) !== 'join') return 'the sender is not in the room'
  const levels = powerLevels(version, state)
  const power = levels.of(event.sender)
  if (current === 'ban' && power < levels.ban) return 'the sender may not lift a ban'
  return power >= levels.kick && power > levels.of(target) ? undefined : 'the sender may not remove that user'
}

function banRefusal({ event, target, version, state }: Change): string | undefined {
  if (membershipOf(state, event.sender) !== 'join') return 'the sender is not in the room'
  const levels = powerLevels(version, state)
  const power = levels.of(event.sender)
  return power >= levels.ban && power > levels.of(target) ? undefined : 'the sender may not ban that user'
}

function knockRefusal({ event, target, version, state }: Change): string | undefined {
  const rule = joinRuleOf(state)
  if (rule !== 'knock' && !(rule === 'knock_restricted' && version.knockRestrictedJoins)) {
    return 'the room does not let anyone knock'
  }
  if (event.sender !== target) return 'nobody can knock for somebody else'
  const current = membershipOf(state, target)
  const isSettled = current === 'ban' || current === 'invite' || current === 'join'
  return isSettled ? `the user's membership is ${current}` : undefined
}
