import {
  REDACTION_V1,
  REDACTION_V6,
  REDACTION_V8,
  REDACTION_V9,
  REDACTION_V11,
  type RedactionRules,
} from './redaction-rules.ts'

/** The rules of a room version. Everything that differs between versions is decided by a member of this. */
export type RoomVersion = {
  readonly id: string
  /**
   * 1: the event ID is a member, and `prev_events` and `auth_events` are pairs of ID and hashes. 2: the event ID is the
   * reference hash in base64. 3: the same in URL-safe base64.
   */
  readonly eventFormat: 1 | 2 | 3
  readonly resolution: 'v1' | 'v2' | 'v2.1'
  readonly redaction: RedactionRules
  /** Whether an event that is no canonical JSON is invalid; in older versions floats and large numbers occur. */
  readonly strictJson: boolean
  /** Whether a key must have been valid at the event's `origin_server_ts`. */
  readonly enforcesKeyValidity: boolean
  /** Whether the auth rules have their own for `m.room.aliases`. */
  readonly authorisesAliases: boolean
  /** Whether the auth rules decide what may be redacted. Later versions decide it when a redaction is applied. */
  readonly authorisesRedactions: boolean
  /** Whether changes of `notifications` need power. */
  readonly guardsNotifications: boolean
  readonly knocking: boolean
  readonly restrictedJoins: boolean
  readonly knockRestrictedJoins: boolean
  /** Whether power levels must be integers; in older versions they may be strings and floats. */
  readonly integerPowerLevels: boolean
  /** Whether the creator is `content.creator` of the create event rather than its sender. */
  readonly creatorInContent: boolean
  /** Whether a redaction says in its `content` what it redacts. */
  readonly redactsInContent: boolean
  /** Whether the room ID is the create event's ID, so that neither that event nor any event's `auth_events` names it. */
  readonly roomIdIsCreateEvent: boolean
  /** Whether creators, `additional_creators` among them, have infinite power. */
  readonly privilegedCreators: boolean
}

const v1: RoomVersion = {
  id: '1',
  eventFormat: 1,
  resolution: 'v1',
  redaction: REDACTION_V1,
  strictJson: false,
  enforcesKeyValidity: false,
  authorisesAliases: true,
  authorisesRedactions: true,
  guardsNotifications: false,
  knocking: false,
  restrictedJoins: false,
  knockRestrictedJoins: false,
  integerPowerLevels: false,
  creatorInContent: true,
  redactsInContent: false,
  roomIdIsCreateEvent: false,
  privilegedCreators: false,
}
const v2: RoomVersion = { ...v1, id: '2', resolution: 'v2' }
const v3: RoomVersion = { ...v2, id: '3', eventFormat: 2, authorisesRedactions: false }
const v4: RoomVersion = { ...v3, id: '4', eventFormat: 3 }
const v5: RoomVersion = { ...v4, id: '5', enforcesKeyValidity: true }
const v6: RoomVersion = {
  ...v5,
  id: '6',
  redaction: REDACTION_V6,
  strictJson: true,
  authorisesAliases: false,
  guardsNotifications: true,
}
const v7: RoomVersion = { ...v6, id: '7', knocking: true }
const v8: RoomVersion = { ...v7, id: '8', redaction: REDACTION_V8, restrictedJoins: true }
const v9: RoomVersion = { ...v8, id: '9', redaction: REDACTION_V9 }
const v10: RoomVersion = { ...v9, id: '10', integerPowerLevels: true, knockRestrictedJoins: true }
const v11: RoomVersion = {
  ...v10,
  id: '11',
  redaction: REDACTION_V11,
  creatorInContent: false,
  redactsInContent: true,
}
const v12: RoomVersion = {
  ...v11,
  id: '12',
  resolution: 'v2.1',
  roomIdIsCreateEvent: true,
  privilegedCreators: true,
}

/** All room versions that rooms here may have, each of them stable. Room versions, "Complete list of room versions". */
export const ROOM_VERSIONS: readonly RoomVersion[] = [v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12]

/** What a room gets if nobody says otherwise. */
export const DEFAULT_ROOM_VERSION = '12'

const BY_ID: ReadonlyMap<string, RoomVersion> = new Map(ROOM_VERSIONS.map((version) => [version.id, version]))

/** @returns `undefined` for a version that is not known here */
export function roomVersion(id: string): RoomVersion | undefined {
  return BY_ID.get(id)
}
