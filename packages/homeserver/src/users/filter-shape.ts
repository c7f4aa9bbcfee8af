import { isObject } from '../matrix/json.ts'

type Check = (value: unknown) => boolean

const isText: Check = (value) => typeof value === 'string'
const isFlag: Check = (value) => typeof value === 'boolean'
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const beginsWith =
  (sigil: string): Check =>
  (value) =>
    typeof value === 'string' && value.startsWith(sigil)
const oneOf =
  (...values: string[]): Check =>
  (value) =>
    values.includes(value as string)
const listOf =
  (isItem: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(isItem)

/** An object whose members, as far as they are named here and there at all, pass their checks. */
const shape = (members: Record<string, Check>): Check => {
  const checks = Object.entries(members)
  return (value) =>
    isObject(value) && checks.every(([name, check]) => !Object.hasOwn(value, name) || check(value[name]))
}

const eventFilter = {
  limit: isCount,
  types: listOf(isText),
  not_types: listOf(isText),
  senders: listOf(beginsWith('@')),
  not_senders: listOf(beginsWith('@')),
}

const rooms = { rooms: listOf(beginsWith('!')), not_rooms: listOf(beginsWith('!')) }

const roomEventFilter = shape({
  ...eventFilter,
  ...rooms,
  contains_url: isFlag,
  lazy_load_members: isFlag,
  include_redundant_members: isFlag,
  unread_thread_notifications: isFlag,
  related_by_rel_types: listOf(isText),
  related_by_senders: listOf(beginsWith('@')),
})

/**
 * Whether a definition has the shape of a filter. Members that the specification does not know are let through.
 * Client-server API, `POST /user/{userId}/filter`.
 */
export const isFilter = shape({
  event_fields: listOf(isText),
  event_format: oneOf('client', 'federation'),
  presence: shape(eventFilter),
  account_data: shape(eventFilter),
  room: shape({
    ...rooms,
    include_leave: isFlag,
    ephemeral: roomEventFilter,
    state: roomEventFilter,
    timeline: roomEventFilter,
    account_data: roomEventFilter,
  }),
})
