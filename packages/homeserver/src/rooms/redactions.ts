import type { RoomEvent } from '../matrix/events.ts'
import { serverNameOf } from '../matrix/ids.ts'
import { redactEvent, redactionApplies } from '../state/redaction.ts'
import { removeEventText } from '../storage/event-texts.ts'
import { eventRow, redactionsOf, saveRedacted, showRedaction } from '../storage/events.ts'
import { eventOf } from './events.ts'
import type { RoomParts } from './ports.ts'
import { stateView } from './state-view.ts'
import type { WritableRoom } from './writable-room.ts'

/** What says who may redact. */
const POWER = [
  ['m.room.create', ''],
  ['m.room.power_levels', ''],
] as const

/**
 * Redacts what has to be redacted now that an accepted event is here: the event that it redacts, or itself, where its
 * redaction came first. Room versions, "Handling redactions".
 * @returns the event as clients may see it
 */
export async function redactWhatIsDue(parts: RoomParts, room: WritableRoom, event: RoomEvent): Promise<RoomEvent> {
  const { tx, version } = room
  if (event.type === 'm.room.redaction' && event.redacts !== undefined) {
    const row = await eventRow(tx.db, event.redacts)
    if (row && row.room_id === room.roomId && row.redacted_by === null) {
      await redact(parts, room, eventOf(row, version), event)
    }
  }
  // Nobody can have redacted an event of ours before it was made.
  if (serverNameOf(event.sender) === parts.serverName) return event
  for (const row of await redactionsOf(tx.db, event.eventId)) {
    const redaction = eventOf(row, version)
    if (!(await redact(parts, room, event, redaction))) continue
    await showRedaction(tx.db, redaction.eventId)
    return redactEvent(event, version)
  }
  return event
}

/**
 * Whether an accepted redaction is kept from clients: it redacts nothing, since its event is not here (yet), or is not its
 * to redact. Room versions 3 and later, "Handling redactions".
 */
export async function isWithheld(parts: RoomParts, room: WritableRoom, event: RoomEvent): Promise<boolean> {
  const { tx, version } = room
  if (event.type !== 'm.room.redaction' || version.authorisesRedactions || !room.current) return false
  const row = event.redacts === undefined ? undefined : await eventRow(tx.db, event.redacts)
  if (row?.room_id !== room.roomId) return true
  const state = await stateView(parts, tx.db, room, room.current.map, POWER)
  return !redactionApplies(event, eventOf(row, version), version, state)
}

async function redact(parts: RoomParts, room: WritableRoom, target: RoomEvent, redaction: RoomEvent): Promise<boolean> {
  const { tx, version } = room
  if (target.type === 'm.room.create') return false
  const state = await stateView(parts, tx.db, room, room.current!.map, POWER)
  if (!redactionApplies(redaction, target, version, state)) return false
  const redacted = redactEvent(target, version)
  await saveRedacted(tx.db, redacted, redaction.eventId)
  await removeEventText(tx.db, target.eventId)
  parts.events.replace(tx, { event: redacted, rejected: false })
  return true
}
