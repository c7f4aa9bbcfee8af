import { forbidden, invalidParam } from '../../matrix/errors.ts'
import type { RoomEvent } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { authorize } from '../../state/authorization.ts'
import { eventFacts, eventRow } from '../../storage/events.ts'
import { append } from '../append.ts'
import { judgeByAuthEvents, neededToJudge } from '../outliers.ts'
import type { RoomParts } from '../ports.ts'
import { resolveGroups } from '../resolve.ts'
import { decisiveKeys, stateView } from '../state-view.ts'
import type { State } from '../states.ts'
import type { WritableRoom } from '../writable-room.ts'

/**
 * Adds the membership event that a server outside of the room has made of our template, and tells all others of it. It may
 * come again.
 * @returns the state before it
 * @throws `M_FORBIDDEN`, `M_INVALID_PARAM`
 */
export async function takeMember(parts: RoomParts, room: WritableRoom, event: RoomEvent): Promise<State> {
  const { db } = room.tx
  const facts = await eventFacts(db, [event.eventId, ...event.prevEvents])
  if (facts.get(event.eventId)?.position != null) {
    const { state_before: group } = (await eventRow(db, event.eventId))!
    return parts.states.load(db, group!)
  }
  const groups = event.prevEvents.map((id: EventId) => {
    const fact = facts.get(id)
    if (fact?.position == null || fact.room_id !== room.roomId || fact.state_after === null) {
      throw invalidParam('The event does not follow events that this server knows')
    }
    return fact.state_after
  })
  if (groups.length === 0) throw invalidParam('The event follows no other')
  const before = await resolveGroups(parts, room.tx, room, [...new Set(groups)], room.current)
  await requireAllowed(parts, room, event, before)
  await append(parts, room, { event, before, tell: 'everybody' })
  return before
}

/** By what it names, by the state before it, and by the state now. */
async function requireAllowed(parts: RoomParts, room: WritableRoom, event: RoomEvent, before: State): Promise<void> {
  const { version, tx } = room
  const known = await parts.events.load(tx.db, version, neededToJudge(event, version))
  const auth = event.authEvents.map((id) => known.get(id))
  if (!auth.every((one) => one !== undefined)) throw invalidParam('The event names auth events that are not known here')
  const create = [...known.values()].find((one) => one.event.type === 'm.room.create')
  const keys = decisiveKeys(event, version)
  const byState = async ({ map }: State) => authorize(event, version, await stateView(parts, tx.db, room, map, keys))
  const verdicts = [
    judgeByAuthEvents(event, version, auth, create?.event),
    await byState(before),
    await byState(room.current!),
  ]
  for (const verdict of verdicts) if (!verdict.allowed) throw forbidden(verdict.reason)
}
