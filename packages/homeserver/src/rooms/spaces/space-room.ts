import type { RoomId } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'
import { roomVersion } from '../../state/room-versions.ts'
import { joinedCounts, roomsWithLocalMembers } from '../../storage/room-population.ts'
import { currentPdusOfType } from '../../storage/room-state.ts'
import type { Db } from '../../storage/store.ts'
import { currentContents } from '../current-contents.ts'
import { type RoomSummary, readSummary, SUMMARY_TYPES, summaryOf } from '../room-summary.ts'
import { inOrder, readSpaceChild, type SpaceChild } from './space-child.ts'

/** A room as a hierarchy shows it. Client-server API, "SpaceHierarchyRoomsChunk". */
export type SpaceRoom = RoomSummary & {
  /** In order; empty unless the room is a space. */
  children_state: SpaceChild[]
}

/** The children of one space that are looked at. */
const MAX_CHILDREN = 500

/** Those of the rooms that one of our users is in, so that we know what they are like now. */
export async function localRooms(db: Db, roomIds: readonly RoomId[]): Promise<Map<RoomId, SpaceRoom>> {
  const known = await roomsWithLocalMembers(db, roomIds)
  const contents = await currentContents(db, known, SUMMARY_TYPES)
  const counts = await joinedCounts(db, known)
  const rooms = new Map<RoomId, SpaceRoom>()
  for (const roomId of known) {
    const summary = summaryOf(roomId, contents.get(roomId)!, counts.get(roomId) ?? 0)
    if (summary) rooms.set(roomId, { ...summary, children_state: [] })
  }
  const spaces = [...rooms.values()].filter(isSpace).map((room) => room.room_id)
  const children = new Map<RoomId, SpaceChild[]>()
  for (const { room_id: roomId, pdu } of await currentPdusOfType(db, spaces, 'm.space.child')) {
    const child = readSpaceChild(JSON.parse(pdu))
    if (child) children.set(roomId, [...(children.get(roomId) ?? []), child])
  }
  for (const [roomId, events] of children) {
    rooms.get(roomId)!.children_state = inOrder(events).slice(0, MAX_CHILDREN)
  }
  return rooms
}

/** A room as another server tells of it. @returns `undefined` if it says nothing that makes sense */
export function readSpaceRoom(value: unknown): SpaceRoom | undefined {
  const summary = readSummary(value)
  if (!summary) return undefined
  const events = isObject(value) && Array.isArray(value.children_state) && isSpace(summary) ? value.children_state : []
  const children = events.slice(0, MAX_CHILDREN).flatMap((event) => readSpaceChild(event) ?? [])
  return { ...summary, children_state: inOrder(children) }
}

export const isSpace = ({ room_type: type }: RoomSummary) => type === 'm.space'

/** Whether anybody may join, knock or read: nobody needs to be known for that. */
export function isOpen({ join_rule: rule, world_readable: isReadable, room_version: id }: RoomSummary): boolean {
  if (isReadable || rule === 'public') return true
  // What another server tells of a room may leave out its version.
  const version = id === undefined ? undefined : roomVersion(id)
  if (rule === 'knock') return version?.knocking !== false
  return rule === 'knock_restricted' && version?.knockRestrictedJoins !== false
}

/** The rooms whose members may join this one. */
export function allowedRooms({ join_rule: rule, room_version: id, allowed_room_ids: allowed = [] }: RoomSummary) {
  const version = id === undefined ? undefined : roomVersion(id)
  const isRestricted = rule === 'restricted' || rule === 'knock_restricted'
  return isRestricted && version?.restrictedJoins !== false ? allowed : []
}
