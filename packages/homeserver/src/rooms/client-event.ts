import type { RoomEvent } from '../matrix/events.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { RoomVersion } from '../state/room-versions.ts'

/** An event as clients get it. Client-server API, "Room event format". */
export type ClientEvent = {
  event_id: string
  type: string
  sender: string
  origin_server_ts: number
  content: JsonObject
  state_key?: string
  room_id?: string
  /** Of an `m.room.redaction`. */
  redacts?: string
  unsigned: JsonObject
}

/** The form that clients get, with whatever goes into its `unsigned`. */
export function clientEvent(
  event: RoomEvent,
  version: RoomVersion,
  unsigned: JsonObject,
  { withRoomId }: { withRoomId: boolean },
): ClientEvent {
  const { eventId, type, sender, originServerTs, stateKey, roomId } = event
  return {
    event_id: eventId,
    type,
    sender,
    origin_server_ts: originServerTs,
    content: contentFor(event, version),
    ...(stateKey === undefined ? {} : { state_key: stateKey }),
    ...(event.redacts === undefined ? {} : { redacts: event.redacts }),
    ...(withRoomId ? { room_id: roomId } : {}),
    unsigned,
  }
}

/** Whatever the version of the room, a redaction says in its content, too, what it redacts. */
function contentFor({ content, redacts }: RoomEvent, { redactsInContent }: RoomVersion): { [key: string]: Json } {
  return redacts === undefined || redactsInContent ? content : { ...content, redacts }
}
