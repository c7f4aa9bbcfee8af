import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { isObject, type JsonObject } from '../matrix/json.ts'
import { ownChildren } from '../storage/event-children.ts'
import { eventRow } from '../storage/events.ts'
import type { Db } from '../storage/store.ts'
import { relationOf } from './relations.ts'

/**
 * Looks at what one of our users is about to say about another event: nobody annotates twice in the same way, and no
 * thread hangs on what is itself about something. Client-server API, "Avoiding duplicate annotations", "Validation of
 * m.thread relationships".
 * @throws 400 `M_DUPLICATE_ANNOTATION`, 400 `M_UNKNOWN`
 */
export async function checkRelation(
  db: Db,
  { type, sender, content }: { type: string; sender: UserId; content: JsonObject },
): Promise<void> {
  const relation = relationOf(content)
  if (relation?.type === 'm.annotation') {
    const key = annotationKey(content)
    const own = await ownChildren(db, relation.eventId, { sender, type, relType: relation.type })
    if (key !== undefined && own.some((pdu) => annotationKey(JSON.parse(pdu).content) === key)) {
      throw new MatrixError(400, 'M_DUPLICATE_ANNOTATION', 'You have annotated this event in this way already')
    }
  }
  if (relation?.type === 'm.thread') {
    const root = await eventRow(db, relation.eventId)
    if (root && root.rel_type !== null) {
      throw new MatrixError(400, 'M_UNKNOWN', 'A thread cannot begin at an event that is about another one')
    }
  }
}

function annotationKey(content: unknown): unknown {
  const relates = isObject(content) ? content['m.relates_to'] : undefined
  return isObject(relates) ? relates.key : undefined
}
