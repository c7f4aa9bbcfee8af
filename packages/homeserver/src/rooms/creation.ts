import type { RoomAlias, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { RoomVersion } from '../state/room-versions.ts'

export type Preset = 'private_chat' | 'trusted_private_chat' | 'public_chat'

/** What `POST /createRoom` asks for, its shape checked. Client-server API, "POST /createRoom". */
export type RoomWish = {
  preset: Preset
  name?: string | undefined
  topic?: string | undefined
  /** The complete alias. */
  alias?: RoomAlias | undefined
  invite: readonly UserId[]
  creationContent: JsonObject
  initialState: readonly { type: string; stateKey: string; content: JsonObject }[]
  powerLevelOverride: JsonObject
}

/** A state event to be. */
export type StateDraft = { type: string; stateKey: string; content: JsonObject }

const PRESETS: Record<Preset, { joinRule: string; guestAccess: string }> = {
  private_chat: { joinRule: 'invite', guestAccess: 'can_join' },
  trusted_private_chat: { joinRule: 'invite', guestAccess: 'can_join' },
  public_chat: { joinRule: 'public', guestAccess: 'forbidden' },
}

/** The content of a new room's create event. */
export function createContent(wish: RoomWish, creator: UserId, version: RoomVersion): JsonObject {
  const { additional_creators: asked, creator: _, ...content } = wish.creationContent
  const more = wish.preset === 'trusted_private_chat' ? wish.invite : []
  const creators = [...new Set([...(Array.isArray(asked) ? asked : []), ...more])].filter((one) => one !== creator)
  return {
    ...content,
    room_version: version.id,
    ...(version.creatorInContent ? { creator } : {}),
    ...(version.privilegedCreators
      ? creators.length > 0 && { additional_creators: creators }
      : asked !== undefined && { additional_creators: asked }),
  }
}

/** The state events of a new room that follow its creator's join, in order. */
export function initialState(wish: RoomWish, creator: UserId, version: RoomVersion): StateDraft[] {
  const { joinRule, guestAccess } = PRESETS[wish.preset]
  const byPreset = [
    draft('m.room.join_rules', { join_rule: joinRule }),
    draft('m.room.history_visibility', { history_visibility: 'shared' }),
    draft('m.room.guest_access', { guest_access: guestAccess }),
  ]
  const given = new Set(wish.initialState.map(({ type, stateKey }) => `${type}\0${stateKey}`))
  const isGiven = ({ type, stateKey }: StateDraft) => given.has(`${type}\0${stateKey}`)
  return [
    draft('m.room.power_levels', powerLevelContent(wish, creator, version)),
    ...(wish.alias === undefined ? [] : [draft('m.room.canonical_alias', { alias: wish.alias })]),
    ...byPreset.filter((one) => !isGiven(one)),
    ...wish.initialState,
    ...(wish.name === undefined ? [] : [draft('m.room.name', { name: wish.name })]),
    ...(wish.topic === undefined ? [] : [draft('m.room.topic', topicContent(wish.topic))]),
  ]
}

function powerLevelContent(wish: RoomWish, creator: UserId, version: RoomVersion): JsonObject {
  const privileged = wish.preset === 'trusted_private_chat' ? wish.invite : []
  const users = version.privilegedCreators ? [] : [creator, ...privileged]
  return {
    users: Object.fromEntries(users.map((userId) => [userId, 100])),
    users_default: 0,
    events: {
      'm.room.name': 50,
      'm.room.power_levels': 100,
      'm.room.history_visibility': 100,
      'm.room.canonical_alias': 50,
      'm.room.avatar': 50,
      'm.room.tombstone': version.privilegedCreators ? 150 : 100,
      'm.room.server_acl': 100,
      'm.room.encryption': 100,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    // In a private chat anybody may bring somebody along.
    invite: wish.preset === 'public_chat' ? 50 : 0,
    historical: 100,
    ...wish.powerLevelOverride,
  }
}

/** Client-server API, "m.room.topic": the text for those who read rich topics, too. */
function topicContent(topic: string): JsonObject {
  return { topic, 'm.topic': { 'm.text': [{ body: topic }] } }
}

const draft = (type: string, content: JsonObject): StateDraft => ({ type, stateKey: '', content })
