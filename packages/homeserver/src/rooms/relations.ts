import { type EventId, isEventId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'

/** How an event is about another one. */
export type Relation = { eventId: EventId; type: string }

/** The relation that an event's content declares. Client-server API, "Forming relationships between events". */
export function relationOf(content: unknown): Relation | undefined {
  const relates = isObject(content) ? content['m.relates_to'] : undefined
  if (!isObject(relates) || typeof relates.rel_type !== 'string' || !isEventId(relates.event_id)) return undefined
  if (relates.rel_type.length > 255) return undefined
  return { eventId: relates.event_id, type: relates.rel_type }
}
