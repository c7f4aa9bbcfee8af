import type { RoomId, UserId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { memberCounts } from '../storage/room-population.ts'
import { currentPdus, type StateChange } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'
import { firstMembers } from '../storage/sync-rooms.ts'

/** Client-server API, "Syncing", `RoomSummary`. */
export type Summary = {
  'm.heroes'?: UserId[]
  'm.joined_member_count': number
  'm.invited_member_count': number
}

const NAMES = ['m.room.name', 'm.room.canonical_alias']
const HEROES = 5

/** Whether what changed in a room may change what its summary says. */
export function changesSummary(changes: readonly StateChange[]): boolean {
  return changes.some(({ type, membership, prev_membership: before }) => membership !== before || NAMES.includes(type))
}

/** The summaries of rooms as they are now: how many are in them, and of those without a name who is. */
export async function summaries(db: Db, userId: UserId, roomIds: readonly RoomId[]): Promise<Map<RoomId, Summary>> {
  const found = new Map<RoomId, Summary>(
    roomIds.map((roomId) => [roomId, { 'm.joined_member_count': 0, 'm.invited_member_count': 0 }]),
  )
  if (roomIds.length === 0) return found
  for (const { room_id: roomId, membership, count } of await memberCounts(db, roomIds)) {
    if (membership === 'join') found.get(roomId)!['m.joined_member_count'] = count
    if (membership === 'invite') found.get(roomId)!['m.invited_member_count'] = count
  }
  for (const [roomId, heroes] of await heroesOf(db, userId, await nameless(db, roomIds))) {
    found.get(roomId)!['m.heroes'] = heroes
  }
  return found
}

async function nameless(db: Db, roomIds: readonly RoomId[]): Promise<RoomId[]> {
  const named = new Set<RoomId>()
  for (const { room_id: roomId, type, pdu } of await currentPdus(db, roomIds, NAMES)) {
    const { content } = JSON.parse(pdu) as { content: unknown }
    const name = isObject(content) && content[type === 'm.room.name' ? 'name' : 'alias']
    if (typeof name === 'string' && name !== '') named.add(roomId)
  }
  return roomIds.filter((roomId) => !named.has(roomId))
}

/** Those in the room or invited; where there is nobody, those who were. */
async function heroesOf(db: Db, userId: UserId, roomIds: readonly RoomId[]): Promise<Map<RoomId, UserId[]>> {
  const heroes = new Map<RoomId, UserId[]>(roomIds.map((roomId) => [roomId, []]))
  const choose = { but: userId, limit: HEROES }
  for (const row of await firstMembers(db, roomIds, { ...choose, memberships: ['join', 'invite'] })) {
    heroes.get(row.room_id)!.push(row.user_id)
  }
  const empty = roomIds.filter((roomId) => heroes.get(roomId)!.length === 0)
  for (const row of await firstMembers(db, empty, { ...choose, memberships: ['leave', 'ban'] })) {
    heroes.get(row.room_id)!.push(row.user_id)
  }
  return heroes
}
