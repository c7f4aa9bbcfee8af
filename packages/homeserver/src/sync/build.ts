import type { RoomId, UserId } from '../matrix/ids.ts'
import type { Db, Store } from '../storage/store.ts'
import { firstMembers } from '../storage/sync-rooms.ts'
import { type Chunks, createChunks } from './chunks.ts'
import { filterEvents, includesRoom, includesType, type SyncFilter } from './filter.ts'
import { type JoinedRoom, joinedRooms, type Since } from './joined.ts'
import { createJoinedRooms, type JoinedRooms } from './joined-rooms.ts'
import { departuresFrom, type LeftRoom, leftAmong, leftRooms } from './left.ts'
import type { Device, ShownEvent, SyncEphemeral, SyncSources } from './ports.ts'
import type { Scope } from './room-views.ts'
import { createSentMembers, type SentMembers } from './sent-members.ts'
import { type OwnMembership, type Standing, standingSince, wholeStanding } from './standing.ts'
import { type StrippedEvent, strippedRooms } from './stripped.ts'
import { formatToken, type SyncToken } from './token.ts'

/** What a sync is asked for. */
export type Question = {
  since: SyncToken | undefined
  fullState: boolean
  /** Whether state is wanted as of the end of timelines and not as of their beginning. */
  stateAfter: boolean
  /** Whether nothing is wanted of the history of rooms that the user has come to. */
  onlyNew?: boolean
  filter: SyncFilter
}

type SyncRoomsSection = {
  join: Record<RoomId, JoinedRoom>
  invite: Record<RoomId, { invite_state: { events: StrippedEvent[] } }>
  knock: Record<RoomId, { knock_state: { events: StrippedEvent[] } }>
  leave: Record<RoomId, LeftRoom>
}

export type SyncResponse = {
  next_batch: string
  account_data: { events: ShownEvent[] }
  presence: { events: ShownEvent[] }
  to_device: { events: unknown[] }
  /** Of an incremental sync only. */
  device_lists?: { changed: UserId[]; left: UserId[] }
  device_one_time_keys_count: Record<string, number>
  device_unused_fallback_key_types: string[]
  rooms: SyncRoomsSection
}

/** What is kept between syncs; all of it may be forgotten. */
export type SyncMemory = { joinedRooms: JoinedRooms; chunks: Chunks; sentMembers: SentMembers }

export function createSyncMemory(store: Store): SyncMemory {
  return { joinedRooms: createJoinedRooms(store), chunks: createChunks(), sentMembers: createSentMembers() }
}

/**
 * Everything that a device is told. All of it is read up to one position, so nothing is skipped and the same `since` brings
 * the same news again.
 */
export async function buildSync(
  store: Store,
  sources: SyncSources,
  memory: SyncMemory,
  device: Device,
  { since, fullState, stateAfter, onlyNew = false, filter }: Question,
): Promise<SyncResponse> {
  const upTo = await store.position()
  // A token ahead of the stream is from a database that was restored: everything may have changed.
  const known = since && since.position <= upTo ? since : { position: 0, toDevice: 0 }
  const after = known.position
  const { userId, deviceId } = device
  const keys = await sources.keyCounts(userId, deviceId)
  const messages = await sources.toDevice(device, known.toDevice, upTo)
  const ofDevice = {
    next_batch: formatToken({ position: upTo, toDevice: messages.position }),
    to_device: { events: messages.events },
    device_one_time_keys_count: keys.oneTimeKeys,
    device_unused_fallback_key_types: keys.unusedFallbackKeyTypes,
  }
  // Most clients ask again at once; until something happens there is nothing to look for.
  if (after > 0 && after === upTo && !fullState) return { ...ofDevice, ...nothingNew() }
  const accountData = await sources.accountData(userId, after, upTo)
  const deviceLists = since && (await sources.deviceLists(userId, after, upTo))
  const scope: Omit<Scope, 'viewer'> = {
    db: store.db,
    rooms: sources.rooms,
    upTo,
    filter,
    stateAfter,
    sentMembers: memory.sentMembers.of(device, after === 0 ? undefined : after),
  }
  const standing = await standingOf(store, memory, userId, { after, fullState }, upTo)
  const { rooms, arrivals } = await buildRooms(scope, sources, memory, device, standing, { after, fullState, onlyNew })
  return {
    ...ofDevice,
    account_data: { events: filterEvents(accountData, filter.account_data) },
    presence: { events: await presence(store, sources, userId, { standing, arrivals }, { after, upTo }, filter) },
    ...(deviceLists && { device_lists: deviceLists }),
    rooms,
  }
}

/** What is told between two positions that are the same. */
const nothingNew = () => ({
  account_data: { events: [] },
  presence: { events: [] },
  device_lists: { changed: [], left: [] },
  rooms: { join: {}, invite: {}, knock: {}, leave: {} },
})

async function standingOf(
  { db }: Store,
  { joinedRooms }: SyncMemory,
  userId: UserId,
  { after, fullState }: Since,
  upTo: number,
): Promise<Standing> {
  if (after === 0) return wholeStanding(db, userId, upTo)
  const standing = await standingSince(db, joinedRooms, userId, after, upTo)
  if (!fullState) return standing
  const changed = new Set(standing.others.map(({ roomId }) => roomId))
  const { others } = await wholeStanding(db, userId, upTo)
  return { ...standing, others: [...standing.others, ...others.filter(({ roomId }) => !changed.has(roomId))] }
}

async function buildRooms(
  given: Omit<Scope, 'viewer'>,
  sources: SyncSources,
  { chunks }: SyncMemory,
  device: Device,
  standing: Standing,
  since: Since,
): Promise<{ rooms: SyncRoomsSection; arrivals: UserId[] }> {
  const { db, filter } = given
  const { userId } = device
  const left = leftAmong(given, standing, since)
  const departures = await departuresFrom(given, userId, left)
  const joinedUntil = new Map([...departures].map(([roomId, { position }]) => [roomId, position]))
  for (const roomId of standing.joined) joinedUntil.set(roomId, Number.POSITIVE_INFINITY)
  const ignored = await sources.rooms.ignoredBy(db, userId)
  const scope: Scope = { ...given, viewer: { ...device, ignored, joinedUntil } }
  const pending = (membership: OwnMembership['membership']) =>
    standing.others.filter((own) => own.membership === membership && includesRoom(filter.room, own.roomId))
  const invites = pending('invite').filter(({ sender }) => !ignored.has(sender))
  const knocks = pending('knock')
  const stripped = await strippedRooms(db, userId, [...invites, ...knocks])
  const { rooms, arrivals } = await joinedRooms(scope, chunks, sources.ephemeral, standing, since)
  return {
    rooms: {
      join: rooms,
      invite: byRoom(invites, (roomId) => ({ invite_state: { events: stripped.get(roomId) ?? [] } })),
      knock: byRoom(knocks, (roomId) => ({ knock_state: { events: stripped.get(roomId) ?? [] } })),
      leave: await leftRooms(scope, left, departures, since),
    },
    arrivals,
  }
}

const byRoom = <T>(memberships: readonly OwnMembership[], of: (roomId: RoomId) => T): Record<RoomId, T> =>
  Object.fromEntries(memberships.map(({ roomId }) => [roomId, of(roomId)])) as Record<RoomId, T>

/** Members of a room that a user has just come to, whose presence is shown at once; and of all those met at most. */
const MEMBERS_SHOWN = 100
const MOST_MET = 1_000

async function presence(
  { db }: Store,
  { ephemeral }: SyncSources,
  userId: UserId,
  { standing, arrivals }: { standing: Standing; arrivals: readonly UserId[] },
  { after, upTo }: { after: number; upTo: number },
  filter: SyncFilter,
): Promise<ShownEvent[]> {
  if (!includesType(filter.presence ?? {}, 'm.presence')) return []
  const events = await ephemeral.presenceSince(db, userId, after, upTo)
  if (after > 0) {
    const told = new Set(events.map(({ sender }) => sender))
    const met = (await usersMet(db, userId, standing, arrivals)).filter((other) => !told.has(other))
    if (met.length > 0) events.push(...(await presenceOfAll(db, ephemeral, met)))
  }
  return filterEvents(events, filter.presence)
}

/** Those in rooms that the user has come to, and those who have come to the user's. */
async function usersMet(
  db: Db,
  userId: UserId,
  { newlyJoined }: Standing,
  arrivals: readonly UserId[],
): Promise<UserId[]> {
  const met = new Set(arrivals)
  if (newlyJoined.size > 0) {
    const choose = { memberships: ['join'], but: userId, limit: MEMBERS_SHOWN } as const
    for (const row of await firstMembers(db, [...newlyJoined], choose)) met.add(row.user_id)
  }
  met.delete(userId)
  return [...met].slice(0, MOST_MET)
}

/** Whoever has never been seen is offline. */
async function presenceOfAll(db: Db, ephemeral: SyncEphemeral, userIds: readonly UserId[]): Promise<ShownEvent[]> {
  const known = await ephemeral.presenceOfUsers(db, userIds)
  const seen = new Set(known.map(({ sender }) => sender))
  const unseen = userIds.filter((one) => !seen.has(one))
  return [...known, ...unseen.map((sender) => ({ type: 'm.presence', sender, content: { presence: 'offline' } }))]
}
