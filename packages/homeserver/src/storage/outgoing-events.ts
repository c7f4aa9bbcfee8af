import type { EventId, RoomId, ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** Queues an event for servers. */
export async function queueEvent(
  db: Db,
  destinations: readonly ServerName[],
  { position, eventId, roomId }: { position: number; eventId: EventId; roomId: RoomId },
): Promise<void> {
  for (let start = 0; start < destinations.length; start += 500) {
    await db
      .insertInto('outgoing_events')
      .values(
        destinations
          .slice(start, start + 500)
          .map((destination) => ({ destination, position, event_id: eventId, room_id: roomId })),
      )
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
}
