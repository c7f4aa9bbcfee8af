import { isRoomAlias, isRoomId, type RoomId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import type { CurrentContents } from './current-contents.ts'

/**
 * A room as it is shown to whoever is not in it, in its wire form: what directories, space hierarchies and summaries have
 * in common. Client-server API, "RoomSummary".
 */
export type RoomSummary = {
  room_id: RoomId
  name?: string
  topic?: string
  canonical_alias?: string
  avatar_url?: string
  num_joined_members: number
  world_readable: boolean
  guest_can_join: boolean
  join_rule: string
  room_type?: string
  allowed_room_ids?: RoomId[]
  encryption?: string
  room_version?: string
}

/** The state events that a summary is made of. */
export const SUMMARY_TYPES = [
  'm.room.create',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.canonical_alias',
  'm.room.join_rules',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.encryption',
] as const

/** The summary of a room of which the state now is known. @returns `undefined` if it is not: there is no create event */
export function summaryOf(roomId: RoomId, contents: CurrentContents, joinedMembers: number): RoomSummary | undefined {
  const content = (type: (typeof SUMMARY_TYPES)[number]) => contents.get(type)
  const create = content('m.room.create')
  if (!create) return undefined
  const rules = content('m.room.join_rules')
  const allowed = allowedRooms(rules)
  return {
    room_id: roomId,
    ...texts({
      name: content('m.room.name')?.name,
      topic: plainTopic(content('m.room.topic')),
      canonical_alias: content('m.room.canonical_alias')?.alias,
      avatar_url: content('m.room.avatar')?.url,
      room_type: create.type,
      encryption: content('m.room.encryption')?.algorithm,
    }),
    room_version: typeof create.room_version === 'string' ? create.room_version : '1',
    num_joined_members: joinedMembers,
    world_readable: content('m.room.history_visibility')?.history_visibility === 'world_readable',
    guest_can_join: content('m.room.guest_access')?.guest_access === 'can_join',
    join_rule: typeof rules?.join_rule === 'string' ? rules.join_rule : 'invite',
    ...(allowed.length === 0 ? {} : { allowed_room_ids: allowed }),
  }
}

/** The plain text of a topic. Client-server API, "m.room.topic". */
function plainTopic(content: Record<string, unknown> | undefined): unknown {
  const rich = isObject(content?.['m.topic']) ? content['m.topic']['m.text'] : undefined
  const plain = (Array.isArray(rich) ? rich : []).find(
    (one) => isObject(one) && (one.mimetype === undefined || one.mimetype === 'text/plain'),
  )
  return typeof plain?.body === 'string' ? plain.body : content?.topic
}

/** The rooms whose members may join by a rule of `restricted`. Client-server API, "m.room.join_rules". */
function allowedRooms(rules: Record<string, unknown> | undefined): RoomId[] {
  const { join_rule: rule, allow } = rules ?? {}
  if ((rule !== 'restricted' && rule !== 'knock_restricted') || !Array.isArray(allow)) return []
  const rooms = allow.flatMap((one) =>
    isObject(one) && one.type === 'm.room_membership' && isRoomId(one.room_id) ? [one.room_id] : [],
  )
  return [...new Set(rooms)].slice(0, MAX_ALLOWED_ROOMS)
}

const MAX_ALLOWED_ROOMS = 100
const MAX_TEXT = 10_000

/** What of a summary that another server gives has the right shape. @returns `undefined` if it names no room */
export function readSummary(value: unknown): RoomSummary | undefined {
  if (!isObject(value) || !isRoomId(value.room_id)) return undefined
  const { num_joined_members: members, allowed_room_ids: allowed, canonical_alias: alias, join_rule: rule } = value
  const rooms = (Array.isArray(allowed) ? allowed : []).filter(isRoomId).slice(0, MAX_ALLOWED_ROOMS)
  const { name, topic, avatar_url, room_type, encryption, room_version } = value
  return {
    room_id: value.room_id,
    ...texts({ name, topic, avatar_url, room_type, encryption, room_version }),
    ...(isRoomAlias(alias) ? { canonical_alias: alias } : {}),
    num_joined_members: Number.isSafeInteger(members) && (members as number) >= 0 ? (members as number) : 0,
    world_readable: value.world_readable === true,
    guest_can_join: value.guest_can_join === true,
    join_rule: typeof rule === 'string' ? rule : 'public',
    ...(rooms.length === 0 ? {} : { allowed_room_ids: rooms }),
  }
}

function texts<Key extends string>(values: Record<Key, unknown>): Partial<Record<Key, string>> {
  const kept = Object.entries<unknown>(values).filter(
    ([, value]) => typeof value === 'string' && value !== '' && value.length <= MAX_TEXT,
  )
  return Object.fromEntries(kept) as Partial<Record<Key, string>>
}
