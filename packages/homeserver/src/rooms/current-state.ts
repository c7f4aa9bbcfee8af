import { type RoomEvent, stateEntryParts } from '../matrix/events.ts'
import { type EventId, isUserId, serverNameOf, type UserId } from '../matrix/ids.ts'
import { type MembershipRow, membersOf, removeMemberships, saveMemberships } from '../storage/memberships.ts'
import { addStateChanges, type StateChange, saveCurrentState } from '../storage/room-state.ts'
import type { Membership } from '../storage/room-tables.ts'
import { setOpen } from '../storage/rooms.ts'
import { isOpen } from './current-contents.ts'
import { followMembers } from './follow-members.ts'
import type { RoomParts } from './ports.ts'
import type { State, StateDelta } from './states.ts'
import type { WritableRoom } from './writable-room.ts'

const MEMBER = 'm.room.member'
/** State that says whether anybody may join or read. */
const OPENING = new Set(['m.room.join_rules', 'm.room.history_visibility'])

type EntryChange = { type: string; stateKey: string; eventId: EventId | null; before: EventId | undefined }

/**
 * Makes `next` the room's state now: its entries, its members, the record of how it changed, and what other features
 * do about members who came and went.
 * @param delta how it differs from the state that was
 * @param event the event that changed the state, which is at hand
 */
export async function applyStateChanges(
  parts: RoomParts,
  room: WritableRoom,
  next: State,
  delta: StateDelta,
  position: number,
  event: RoomEvent,
): Promise<void> {
  const { tx, roomId } = room
  const before = room.current
  room.current = next
  const changes: EntryChange[] = [...delta].map(([entry, eventId]) => {
    const [type, stateKey] = stateEntryParts(entry)
    return { type, stateKey, eventId, before: before?.map.get(entry) }
  })
  const ofMembers = changes.filter((change) => change.type === MEMBER && isUserId(change.stateKey))
  await saveCurrentState(
    tx.db,
    roomId,
    changes.filter((change) => change.type !== MEMBER),
  )
  if (changes.some(({ type, stateKey }) => stateKey === '' && OPENING.has(type))) {
    await setOpen(tx.db, roomId, await isOpen(tx.db, roomId))
  }
  const members = await changeMembers(parts, room, ofMembers, position, event)
  // What a room was like when we came is shown whole to whoever joins; only what changes from then on is recorded.
  const recorded = members.weWereThere ? changes : changes.filter((change) => members.ours.has(change.stateKey))
  await addStateChanges(
    tx.db,
    recorded.map((change): StateChange => {
      const isMember = change.type === MEMBER
      return {
        position,
        room_id: roomId,
        type: change.type,
        state_key: change.stateKey,
        event_id: change.eventId,
        prev_event_id: change.before ?? null,
        membership: isMember ? (members.after.get(change.stateKey) ?? 'leave') : null,
        prev_membership: isMember ? (members.before.get(change.stateKey) ?? null) : null,
      }
    }),
  )
}

type MemberChanges = {
  before: ReadonlyMap<string, Membership>
  after: ReadonlyMap<string, Membership>
  /** Our own users among those who changed. */
  ours: ReadonlySet<string>
  /** Whether one of our users was in the room before. */
  weWereThere: boolean
}

async function changeMembers(
  parts: RoomParts,
  room: WritableRoom,
  changes: readonly EntryChange[],
  position: number,
  event: RoomEvent,
): Promise<MemberChanges> {
  const { tx, roomId, version } = room
  const eventIds = changes.flatMap(({ eventId }) => (eventId === null || eventId === event.eventId ? [] : [eventId]))
  const known = await parts.events.load(tx.db, version, eventIds)
  const rows = changes.flatMap(({ eventId }) => {
    const member = eventId === event.eventId ? event : eventId === null ? undefined : known.get(eventId)?.event
    return member ? [membershipRowOf(parts, member, position)] : []
  })
  const gone = changes.filter(({ eventId }) => eventId === null).map(({ stateKey }) => stateKey as UserId)
  const userIds = changes.map(({ stateKey }) => stateKey as UserId)
  const before = await membershipsBefore(tx.db, roomId, userIds)
  await removeMemberships(tx.db, roomId, gone)
  await saveMemberships(tx.db, rows)
  const after = new Map<string, Membership>(rows.map((row) => [row.user_id, row.membership]))
  const ours = new Set(userIds.filter((userId) => serverNameOf(userId) === parts.serverName))
  tx.wake(ours)
  const weWereThere = await followMembers(parts, room, { userIds, before, after })
  return { before, after, ours, weWereThere }
}

async function membershipsBefore(
  db: WritableRoom['tx']['db'],
  roomId: WritableRoom['roomId'],
  userIds: readonly UserId[],
): Promise<Map<string, Membership>> {
  if (userIds.length === 0) return new Map()
  const rows = await membersOf(db, roomId, { userIds })
  return new Map(rows.map((row) => [row.user_id, row.membership]))
}

/** What is kept of a membership event. */
export function membershipRowOf(
  { serverName }: Pick<RoomParts, 'serverName'>,
  event: RoomEvent,
  position: number,
): MembershipRow {
  const userId = event.stateKey as UserId
  const server = serverNameOf(userId)
  const { membership, displayname, avatar_url: avatarUrl } = event.content
  return {
    room_id: event.roomId,
    user_id: userId,
    server_name: server,
    is_local: server === serverName ? 1 : 0,
    membership: membership as Membership,
    event_id: event.eventId,
    sender: event.sender,
    position,
    display_name: typeof displayname === 'string' ? displayname : null,
    avatar_url: typeof avatarUrl === 'string' ? avatarUrl : null,
    forgotten: 0,
  }
}
