import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { eventRows } from '../storage/events.ts'
import type { ClientEvent } from './client-event.ts'
import { clientEvents } from './client-events.ts'
import type { RoomParts } from './ports.ts'
import { viewerOf } from './viewers.ts'
import { seenEvents } from './visibility.ts'

/** Events of any rooms as a client gets them, without `room_id`; those that the user may not see are left out. */
export async function someEvents(
  parts: RoomParts,
  requester: { userId: UserId; deviceId?: string | undefined },
  eventIds: readonly EventId[],
): Promise<Map<EventId, ClientEvent>> {
  const { db } = parts.store
  const rows = await eventRows(db, eventIds)
  const viewer = await viewerOf(db, requester, [...new Set<RoomId>(rows.map((row) => row.room_id))])
  const seen = await seenEvents(parts, db, viewer, rows)
  const events = await clientEvents(parts, db, viewer, seen, { withRoomId: false, bundled: true })
  return new Map(events.map((event) => [event.event_id as EventId, event]))
}
