import fc from 'fast-check'
import { isObject } from '../../src/matrix/json.ts'

// Shaped garbage: what clients and servers say in earnest, in the wrong places, so that it gets past the first check now and then.

const NAMES = [
  ...[
    'type',
    'identifier',
    'user',
    'password',
    'token',
    'auth',
    'session',
    'device_id',
    'displayname',
    'refresh_token',
  ],
  ...['device_keys', 'one_time_keys', 'fallback_keys', 'keys', 'signatures', 'algorithms', 'user_id', 'unsigned'],
  ...['master_key', 'self_signing_key', 'user_signing_key', 'usage', 'messages', 'devices', 'rooms', 'sessions'],
  ...['edus', 'pdus', 'edu_type', 'content', 'origin', 'sender', 'message_id', 'stream_id', 'prev_id', 'deleted'],
  ...['server_keys', 'minimum_valid_until_ts', 'algorithm', 'auth_data', 'version', 'filter', 'conditions', 'actions'],
  ...[
    'room_id',
    'event_id',
    'state_key',
    'membership',
    'prev_events',
    'auth_events',
    'depth',
    'hashes',
    'kind',
    'set_tweak',
  ],
  ...['@alice:hs1', '@bob:far.example', 'DEVICE', '*', 'ed25519:DEVICE', 'signed_curve25519:AAAA'],
  ...['__proto__', 'constructor', 'toString', ''],
]

const VALUES = [
  ...['@alice:hs1', '@bob:far.example', '@:', 'm.login.password', 'm.login.dummy', 'm.id.user', 'm.device_list_update'],
  ...['m.direct_to_device', 'm.signing_key_update', 'm.typing', 'm.receipt', 'm.presence', 'signed_curve25519'],
  ...[
    '!room:hs1',
    '$event',
    '#alias:hs1',
    'm.room.member',
    'join',
    'invite',
    'ban',
    'public_chat',
    'private',
    '10',
    '12',
  ],
  ...['', '\u0000', 'a\u0000b', '\ud800', '💥', 'a'.repeat(300), '../..', '%00'],
]

/** One text of those that mean something somewhere, or any. */
export const garbageText = fc.oneof(fc.constantFrom(...VALUES), fc.string({ maxLength: 8 }))

const scalar = fc.oneof(
  garbageText,
  fc.integer(),
  fc.constantFrom(0, -1, 0.5, 1e300, Number.MAX_SAFE_INTEGER + 1, null, true, false),
)

/** Any JSON, its members called by names that mean something. @param more further names */
export function garbageValue(more: readonly string[] = []): fc.Arbitrary<unknown> {
  const name = fc.constantFrom(...NAMES, ...more, ...more, ...more)
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(name, tie('value'), { maxKeys: 5 }),
    ),
  })).value
}

/** A body for a route: mostly an object with the members that the route reads. @param names those members */
export function garbageBody(names: readonly string[]): fc.Arbitrary<unknown> {
  const value = garbageValue(names)
  const member =
    names.length > 0
      ? fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...names) }, fc.constantFrom(...NAMES))
      : fc.constantFrom(...NAMES)
  return fc.oneof(
    { weight: 8, arbitrary: fc.dictionary(member, value, { maxKeys: 6 }) },
    { weight: 1, arbitrary: value },
  )
}

/** Something good with one or two places spoilt. */
export function spoilt(good: unknown): fc.Arbitrary<unknown> {
  const places = placesIn(good)
  const change = fc.tuple(fc.nat(places.length - 1), fc.constantFrom('replace', 'remove', 'add'), garbageValue())
  return fc.array(change, { minLength: 1, maxLength: 2 }).map((changes) => {
    let value = structuredClone(good)
    for (const [place, how, garbage] of changes) value = changedAt(value, places[place]!, how, structuredClone(garbage))
    return value
  })
}

type Place = readonly (string | number)[]

function placesIn(value: unknown, here: Place = []): Place[] {
  const members = Array.isArray(value)
    ? value.map((item, index) => [index, item] as const)
    : isObject(value)
      ? Object.entries(value)
      : []
  return [here, ...members.flatMap(([name, member]) => placesIn(member, [...here, name]))]
}

function changedAt(value: unknown, place: Place, how: string, garbage: unknown): unknown {
  const [name, ...rest] = place
  if (name === undefined) {
    if (how === 'add' && isObject(value)) return { ...value, extra: garbage }
    return how === 'add' && Array.isArray(value) ? [...value, garbage] : garbage
  }
  // An earlier change may have taken the place away.
  if (Array.isArray(value)) {
    if (how === 'remove' && rest.length === 0) return value.toSpliced(Number(name), 1)
    return value.map((item, index) => (index === name ? changedAt(item, rest, how, garbage) : item))
  }
  if (!isObject(value) || !Object.hasOwn(value, name)) return value
  if (how === 'remove' && rest.length === 0)
    return Object.fromEntries(Object.entries(value).filter(([other]) => other !== name))
  return { ...value, [name]: changedAt(value[name], rest, how, garbage) }
}

/** The names of all members that a route's schema speaks of. */
export function namesIn(schema: unknown): string[] {
  if (Array.isArray(schema)) return schema.flatMap(namesIn)
  if (!isObject(schema)) return []
  const own = isObject(schema.properties) ? Object.keys(schema.properties) : []
  return [...new Set([...own, ...Object.values(schema).flatMap(namesIn)])]
}
