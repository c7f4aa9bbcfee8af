import type { RoomEvent } from '../matrix/events.ts'
import { isUserId } from '../matrix/ids.ts'
import { entriesOf, isObject, type JsonObject } from '../matrix/json.ts'
import { levelIn, readLevel } from './power-levels.ts'
import type { RoomVersion } from './room-versions.ts'
import { creatorsOf, type StateView } from './state-view.ts'

const NAMED = ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite']

/**
 * The rules of `m.room.power_levels`. Room versions, "Authorisation rules".
 * @param power the sender's level
 * @returns why the event is refused; `undefined` if it is allowed
 */
export function powerLevelsRefusal(
  event: RoomEvent,
  version: RoomVersion,
  state: StateView,
  power: number,
): string | undefined {
  const create = state('m.room.create', '')
  const creators = version.privilegedCreators && create ? creatorsOf(create, version) : []
  const malformed = powerLevelsMalformation(event.content, version)
  if (malformed) return malformed
  const { users } = event.content
  if (isObject(users) && creators.some((creator) => Object.hasOwn(users, creator))) {
    return 'power levels cannot be given to creators'
  }
  const current = state('m.room.power_levels', '')?.content
  return current && alterationRefusal(current, event.content, version, event.sender, power)
}

/**
 * What is wrong with the form of the levels. Before version 10 the rules name `users` only, but what is no level at all
 * anywhere else is refused too: nobody could say what it means. `null` was let through in those versions.
 */
export function powerLevelsMalformation(content: JsonObject, version: RoomVersion): string | undefined {
  const isLevel = (value: unknown) =>
    readLevel(value, version) !== undefined || (value === null && !version.integerPowerLevels)
  const wrong = NAMED.find((name) => Object.hasOwn(content, name) && !isLevel(content[name]))
  if (wrong) return `${wrong} is no power level`
  for (const name of ['events', 'notifications'].filter((member) => Object.hasOwn(content, member))) {
    if (!isObject(content[name])) return `${name} is no object`
    if (!Object.values(content[name]).every(isLevel)) return `${name} has what is no power level`
  }
  if (!Object.hasOwn(content, 'users')) return undefined
  if (!isObject(content.users)) return 'users is no object'
  const isUsersLevel = ([userId, value]: [string, unknown]) =>
    isUserId(userId) && readLevel(value, version) !== undefined
  return entriesOf(content.users).every(isUsersLevel) ? undefined : 'users has what is no user ID or no power level'
}

/** Nobody changes a level above their own, nor to one above it, nor that of another user who is their equal. */
function alterationRefusal(
  before: JsonObject,
  after: JsonObject,
  version: RoomVersion,
  sender: string,
  power: number,
): string | undefined {
  const tables = version.guardsNotifications ? ['events', 'notifications'] : ['events']
  const guarded = [
    ...alterations(before, after, NAMED, version),
    ...tables.flatMap((name) => alterations(before[name], after[name], undefined, version)),
  ]
  const offending = guarded.find(({ from, to }) => isAbove(from, power) || isAbove(to, power))
  if (offending) return `the sender's power level does not suffice to alter ${offending.key}`
  for (const { key, from, to } of alterations(before.users, after.users, undefined, version)) {
    const isEqual = key !== sender && from !== undefined && from >= power
    if (isEqual || isAbove(to, power)) return `the sender's power level does not suffice to alter that of ${key}`
  }
  return undefined
}

const isAbove = (level: number | undefined, power: number): boolean => level !== undefined && level > power

type Alteration = { key: string; from: number | undefined; to: number | undefined }

/** The levels that were added, changed or removed: of the given keys, or of all that either side has. */
function alterations(
  before: unknown,
  after: unknown,
  keys: readonly string[] | undefined,
  version: RoomVersion,
): Alteration[] {
  const all = keys ?? new Set([...entriesOf(before), ...entriesOf(after)].map(([key]) => key))
  return [...all]
    .map((key) => ({ key, from: levelIn(before, key, version), to: levelIn(after, key, version) }))
    .filter(({ from, to }) => from !== to)
}
