import type { RoomEvent } from '../matrix/events.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { entriesOf, isObject, type Json, type JsonObject } from '../matrix/json.ts'
import { levelIn, readLevel } from '../state/power-levels.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { creatorsOf } from '../state/state-view.ts'
import type { StateDraft } from './creation.ts'

/** A room that is to be replaced. */
export type OldRoom = {
  roomId: RoomId
  version: RoomVersion
  create: RoomEvent
  /** Contents of `TRANSFERRED` and of `m.room.power_levels`, by type. */
  contents: ReadonlyMap<string, JsonObject>
  /** Further state that is taken along: who is banned, and the children of a space. */
  others: readonly StateDraft[]
}

/** Who makes the new room, and how. */
export type Upgrade = { upgrader: UserId; version: RoomVersion; additionalCreators: readonly UserId[] }

/** What is taken along besides power levels, bans and children: what says how the room is, not who said it. */
export const TRANSFERRED = [
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
  'm.room.encryption',
  'm.room.server_acl',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.policy',
] as const

/** The content of the new room's create event. @param tombstone where it is known already */
export function successorCreate(
  old: OldRoom,
  { upgrader, version, additionalCreators }: Upgrade,
  tombstone: EventId | undefined,
): JsonObject {
  const { type, 'm.federate': federate } = old.create.content
  const more = additionalCreators.filter((userId) => userId !== upgrader)
  return {
    room_version: version.id,
    predecessor: { room_id: old.roomId, ...(tombstone !== undefined && { event_id: tombstone }) },
    ...(type !== undefined && { type }),
    ...(federate !== undefined && { 'm.federate': federate }),
    ...(version.creatorInContent && { creator: upgrader }),
    ...(version.privilegedCreators && more.length > 0 && { additional_creators: more }),
  }
}

/** The state of the new room that follows its creator's join, in order. */
export function successorState(old: OldRoom, upgrade: Upgrade): StateDraft[] {
  const levels = successorLevels(old, upgrade)
  const first = upgrade.version.privilegedCreators ? levels : raised(levels, upgrade)
  const power = (content: JsonObject): StateDraft => ({ type: 'm.room.power_levels', stateKey: '', content })
  const carried = TRANSFERRED.flatMap((type): StateDraft[] => {
    const content = old.contents.get(type)
    return content ? [{ type, stateKey: '', content }] : []
  })
  return [power(first), ...carried, ...old.others, ...(first === levels ? [] : [power(levels)])]
}

/** The levels of the old room, as the new one's version wants them written. */
function successorLevels(old: OldRoom, { upgrader, version, additionalCreators }: Upgrade): JsonObject {
  const content = old.contents.get('m.room.power_levels') ?? {}
  const written = version.integerPowerLevels ? asIntegers(content, old.version) : content
  const users = isObject(written.users) ? (written.users as JsonObject) : {}
  if (version.privilegedCreators) {
    const creators = new Set<string>([upgrader, ...additionalCreators])
    return { ...written, users: Object.fromEntries(Object.entries(users).filter(([userId]) => !creators.has(userId))) }
  }
  if (!old.version.privilegedCreators) return written
  // Creators, who needed no level, get the highest there is.
  const top = highestLevel(written, version)
  const creators = creatorsOf(old.create, old.version).map((userId) => [userId, top])
  return { ...written, users: { ...users, ...Object.fromEntries(creators) } }
}

/** The same levels, but with all power for whoever sets the room up; `levels` itself if they have it. */
function raised(levels: JsonObject, { upgrader, version }: Upgrade): JsonObject {
  const own = levelIn(levels.users, upgrader, version) ?? levelIn(levels, 'users_default', version) ?? 0
  const needed = highestLevel(levels, version)
  if (own >= needed) return levels
  return { ...levels, users: { ...(isObject(levels.users) ? (levels.users as JsonObject) : {}), [upgrader]: needed } }
}

const ACTIONS = ['events_default', 'state_default', 'ban', 'kick', 'redact', 'invite']

/** A level that suffices for everything. */
function highestLevel(levels: JsonObject, version: RoomVersion): number {
  const named = ACTIONS.map((name) => levelIn(levels, name, version) ?? 0)
  const ofEvents = ['events', 'users'].flatMap((name) =>
    entriesOf(levels[name]).map(([, value]) => readLevel(value, version) ?? 0),
  )
  return Math.max(100, ...named, ...ofEvents)
}

/** Levels that were written as text or as fractions, written as integers; what is no level is left out. */
function asIntegers(content: JsonObject, version: RoomVersion): JsonObject {
  const converted = (value: Json): Json | undefined =>
    isObject(value) ? asIntegers(value, version) : readLevel(value, version)
  const entries = Object.entries(content).flatMap(([key, value]) => {
    const level = converted(value)
    return level === undefined ? [] : [[key, level] as const]
  })
  return Object.fromEntries(entries)
}

/**
 * The old room's levels, so that nobody talks there or invites any more whom the room gives no level of their own.
 * @returns `undefined` if it is so already
 */
export function closingLevels(content: JsonObject, version: RoomVersion): JsonObject | undefined {
  const least = Math.max(50, (levelIn(content, 'users_default', version) ?? 0) + 1)
  const [events, invite] = [levelIn(content, 'events_default', version) ?? 0, levelIn(content, 'invite', version) ?? 0]
  if (events >= least && invite >= least) return undefined
  return { ...content, events_default: Math.max(events, least), invite: Math.max(invite, least) }
}
