import { type RoomEvent, type StateKeyTuple, type StateMap, stateEntry } from '../matrix/events.ts'
import { authEventKeys } from '../state/auth-events.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import type { StateView } from '../state/state-view.ts'
import type { Db } from '../storage/store.ts'
import type { RoomParts } from './ports.ts'

/** A look at these entries of a state, their events loaded. */
export async function stateView(
  { events }: Pick<RoomParts, 'events'>,
  db: Db,
  { version }: { version: RoomVersion },
  map: StateMap,
  keys: readonly StateKeyTuple[],
): Promise<StateView> {
  const ids = keys.flatMap(([type, stateKey]) => map.get(stateEntry(type, stateKey)) ?? [])
  const known = await events.load(db, version, ids)
  return (type, stateKey) => {
    const id = map.get(stateEntry(type, stateKey))
    return id === undefined ? undefined : known.get(id)?.event
  }
}

/** The entries of a state that decide about an event: those that authorize it, and the create event. */
export function decisiveKeys(
  event: Pick<RoomEvent, 'type' | 'sender' | 'stateKey' | 'content'>,
  version: RoomVersion,
): StateKeyTuple[] {
  return [['m.room.create', ''], ...authEventKeys(event, version)]
}
