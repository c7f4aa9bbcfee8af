import { stateEntry } from '../matrix/events.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { inParts } from '../storage/parts.ts'
import { currentStateIds, type StateChange, stateChangesBetween } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'
import { changedAmong, memberEvents } from '../storage/sync-rooms.ts'

export type StateIds = Map<string, EventId>

/** Whose membership is wanted: everybody's, or in each room that of some. */
export type WantedMembers = 'all' | ReadonlyMap<RoomId, ReadonlySet<UserId>>

/**
 * The state of rooms as of a position, however many, in a few statements. Nothing that comes after `upTo` counts, though it
 * may have happened already.
 */
export async function statesAt(
  db: Db,
  roomIds: readonly RoomId[],
  upTo: number,
  members: WantedMembers,
): Promise<Map<RoomId, StateIds>> {
  const states = new Map<RoomId, StateIds>(roomIds.map((roomId) => [roomId, new Map()]))
  for (const some of inParts(roomIds, AT_ONCE)) {
    for (const row of await currentStateIds(db, some)) {
      states.get(row.room_id)!.set(stateEntry(row.type, row.state_key), row.event_id)
    }
  }
  await addMembers(db, states, roomIds, members)
  await takeBack(db, states, upTo, members)
  return states
}

/** The membership events of some members as of a position. */
export async function membersAt(
  db: Db,
  wanted: ReadonlyMap<RoomId, ReadonlySet<UserId>>,
  upTo: number,
): Promise<Map<RoomId, StateIds>> {
  const roomIds = [...wanted].flatMap(([roomId, users]) => (users.size > 0 ? [roomId] : []))
  const states = new Map<RoomId, StateIds>(roomIds.map((roomId) => [roomId, new Map()]))
  if (roomIds.length === 0) return states
  await addMembers(db, states, roomIds, wanted)
  await takeBack(db, states, upTo, wanted)
  return states
}

const AT_ONCE = 500
const END = Number.MAX_SAFE_INTEGER
const MEMBER = 'm.room.member'

async function addMembers(
  db: Db,
  states: ReadonlyMap<RoomId, StateIds>,
  roomIds: readonly RoomId[],
  members: WantedMembers,
): Promise<void> {
  const users = members === 'all' ? undefined : [...new Set([...members.values()].flatMap((some) => [...some]))]
  for (const row of await memberEvents(db, roomIds, users)) {
    if (members !== 'all' && !members.get(row.room_id)?.has(row.user_id)) continue
    states.get(row.room_id)!.set(stateEntry(MEMBER, row.user_id), row.event_id)
  }
}

/** Takes back what has happened after a position, the latest first. */
async function takeBack(
  db: Db,
  states: ReadonlyMap<RoomId, StateIds>,
  upTo: number,
  members: WantedMembers,
): Promise<void> {
  const changed = await changedAmong(db, [...states.keys()], upTo)
  const isWanted = ({ room_id: roomId, type, state_key: stateKey }: StateChange) =>
    type !== MEMBER || members === 'all' || members.get(roomId)?.has(stateKey as UserId) === true
  for (const change of (await stateChangesBetween(db, changed, upTo, END)).reverse()) {
    if (!isWanted(change)) continue
    const state = states.get(change.room_id)!
    const entry = stateEntry(change.type, change.state_key)
    if (change.prev_event_id === null) state.delete(entry)
    else state.set(entry, change.prev_event_id)
  }
}
