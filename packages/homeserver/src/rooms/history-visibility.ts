import { isObject } from '../matrix/json.ts'
import type { Membership } from '../storage/room-tables.ts'

export const HISTORY_VISIBILITY = 'm.room.history_visibility'

const VALUES = ['world_readable', 'shared', 'invited', 'joined'] as const
export type HistoryVisibility = (typeof VALUES)[number]

/** What the content of an `m.room.history_visibility` event says; `shared` where there is none, or none that is known. */
export function historyVisibilityOf(content: unknown): HistoryVisibility {
  const said = isObject(content) ? content.history_visibility : undefined
  return VALUES.find((value) => value === said) ?? 'shared'
}

/** What decides about a user and an event: the state of the room on one side of the event. */
export type Moment = { visibility: HistoryVisibility; membership: Membership }

/**
 * Whether a user may see an event. Client-server API, "Room History Visibility", "Server behaviour".
 * @param before the room before the event
 * @param after the room after it, where the event changes its visibility or the user's own membership
 * @param joinsLater whether the user joined the room at any point after it
 */
export function maySee(before: Moment, after: Moment | undefined, joinsLater: boolean): boolean {
  return allows(before, joinsLater) || (after !== undefined && allows(after, joinsLater))
}

function allows({ visibility, membership }: Moment, joinsLater: boolean): boolean {
  if (visibility === 'world_readable' || membership === 'join') return true
  if (visibility === 'shared') return joinsLater
  return visibility === 'invited' && membership === 'invite'
}
