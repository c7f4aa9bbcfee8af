import type { RoomEvent } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import type { RoomVersion } from '../room-versions.ts'
import type { StateView } from '../state-view.ts'
import type { EventMap } from './auth-graph.ts'

/**
 * What an event's own auth events say of the room's state, the create event among it whether or not it is named.
 * @param isUsable leaves out auth events
 */
export function authEventsView(
  event: RoomEvent,
  version: RoomVersion,
  events: EventMap,
  isUsable: (eventId: EventId) => boolean = () => true,
): StateView {
  return (type, stateKey) => {
    if (type === 'm.room.create' && version.roomIdIsCreateEvent) {
      return events.get(`$${event.roomId.slice(1)}` as EventId)
    }
    return event.authEvents
      .filter(isUsable)
      .map((eventId) => events.get(eventId))
      .find((one) => one?.type === type && one.stateKey === stateKey && one.roomId === event.roomId)
  }
}
