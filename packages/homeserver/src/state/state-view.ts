import type { RoomEvent } from '../matrix/events.ts'
import type { RoomVersion } from './room-versions.ts'

/**
 * A room's state as the rules ask for it, one piece at a time: the auth events of an event, the state before it, or the
 * current state. It knows the `m.room.create` event in every room version.
 */
export type StateView = (type: string, stateKey: string) => RoomEvent | undefined

/** A user's `membership`; `leave` for whoever never had one. */
export function membershipOf(state: StateView, userId: string): string {
  const membership = state('m.room.member', userId)?.content.membership
  return typeof membership === 'string' ? membership : 'leave'
}

/** The room's `join_rule`; `invite` where the state has none. Client-server API, "m.room.join_rules". */
export function joinRuleOf(state: StateView): string {
  const rule = state('m.room.join_rules', '')?.content.join_rule
  return typeof rule === 'string' ? rule : 'invite'
}

/** Who created the room, as its version says it: of infinite power in version 12, and of 100 by default before. */
export function creatorsOf(create: RoomEvent, version: RoomVersion): readonly string[] {
  const { creator, additional_creators: additional } = create.content
  if (version.creatorInContent) return typeof creator === 'string' ? [creator] : []
  if (!version.privilegedCreators || !Array.isArray(additional)) return [create.sender]
  return [create.sender, ...additional.filter((userId) => typeof userId === 'string')]
}
