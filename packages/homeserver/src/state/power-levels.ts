import { isObject } from '../matrix/json.ts'
import type { RoomVersion } from './room-versions.ts'
import { creatorsOf, type StateView } from './state-view.ts'

/** What users may do in a room. Client-server API, "m.room.power_levels". */
export type PowerLevels = {
  /** A user's level; `Infinity` for the creators of a room of version 12. */
  of(userId: string): number
  /** The level needed to send an event of a type. */
  needed(type: string, isState: boolean): number
  /** The level needed to notify by a key of `notifications`, such as `room`. */
  notifications(key: string): number
  readonly invite: number
  readonly kick: number
  readonly ban: number
  readonly redact: number
  readonly usersDefault: number
  readonly eventsDefault: number
  readonly stateDefault: number
}

/** The levels that hold in a state, with the defaults for what it does not say. */
export function powerLevels(version: RoomVersion, state: StateView): PowerLevels {
  const create = state('m.room.create', '')
  const event = state('m.room.power_levels', '')
  const content = event?.content ?? {}
  const creators = create ? creatorsOf(create, version) : []
  const level = (from: unknown, key: string, otherwise: number) => levelIn(from, key, version) ?? otherwise
  const usersDefault = level(content, 'users_default', 0)
  const eventsDefault = level(content, 'events_default', 0)
  const stateDefault = level(content, 'state_default', 50)
  const creatorLevel = version.privilegedCreators ? Infinity : 100
  const byCreation = version.privilegedCreators || !event
  return {
    of: (userId) =>
      byCreation && creators.includes(userId) ? creatorLevel : level(content.users, userId, usersDefault),
    needed: (type, isState) => level(content.events, type, isState ? stateDefault : eventsDefault),
    notifications: (key) => level(content.notifications, key, 50),
    invite: level(content, 'invite', 0),
    kick: level(content, 'kick', 50),
    ban: level(content, 'ban', 50),
    redact: level(content, 'redact', 50),
    usersDefault,
    eventsDefault,
    stateDefault,
  }
}

/** A level in an object. Own members only. @returns `undefined` if it is not there, or no level */
export function levelIn(from: unknown, key: string, version: RoomVersion): number | undefined {
  return isObject(from) && Object.hasOwn(from, key) ? readLevel(from[key], version) : undefined
}

/**
 * A level as its room version lets it be written: an integer; before version 10 also a string of an integer, or a float,
 * which is cut off at its point. Room versions, "Deprecated event content schemas".
 * @returns `undefined` if it is none
 */
export function readLevel(value: unknown, version: RoomVersion): number | undefined {
  if (version.integerPowerLevels) return Number.isSafeInteger(value) ? (value as number) : undefined
  const written = typeof value === 'string' && /^\s*[+-]?[0-9]+\s*$/.test(value) ? Number(value) : value
  return Number.isFinite(written) ? Math.trunc(written as number) : undefined
}
