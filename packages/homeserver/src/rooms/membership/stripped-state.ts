import { type RoomEvent, stateEntry } from '../../matrix/events.ts'
import type { RoomParts } from '../ports.ts'
import type { WritableRoom } from '../writable-room.ts'

/** What is shown of a room to whoever is invited or knocks. Client-server API, "Stripped state". */
const SHOWN = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
]

/** The state events that tell somebody outside what a room is, and who invites them. */
export async function shownState(
  { events }: Pick<RoomParts, 'events'>,
  room: WritableRoom,
  event: RoomEvent,
): Promise<RoomEvent[]> {
  const entries = SHOWN.map((type) => stateEntry(type, ''))
  if (event.sender !== event.stateKey) entries.push(stateEntry('m.room.member', event.sender))
  const ids = entries.flatMap((entry) => room.current?.map.get(entry) ?? [])
  const known = await events.load(room.tx.db, room.version, ids)
  return ids.flatMap((id) => known.get(id)?.event ?? [])
}

/** Events as clients are shown them, as JSON text: of what somebody outside was sent, and their own membership. */
export function strippedText(events: readonly Pick<RoomEvent, 'type' | 'stateKey' | 'sender' | 'content'>[]): string {
  return JSON.stringify(
    events.map(({ type, stateKey, sender, content }) => ({ type, state_key: stateKey, sender, content })),
  )
}
