import { badJson, invalidParam, missingParam } from '../matrix/errors.ts'
import {
  isNewLocalpart,
  isUserId,
  localpartOf,
  type ServerName,
  serverNameOf,
  type UserId,
  userIdOf,
} from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'

/** How a client says who it is: a user identifier, or the fields that came before it. Nothing is checked yet. */
export type NamedUser = { identifier?: unknown; user?: unknown; medium?: unknown; address?: unknown }

/**
 * Which account of ours is meant, whether there is such an account or not.
 * Client-server API, "Identifier types"; `POST /login` for the deprecated fields.
 * @returns `undefined` if it cannot be one of ours; nobody here has a third-party identifier
 * @throws `M_MISSING_PARAM` if nobody is named, `M_INVALID_PARAM` for an unknown type of identifier
 */
export function accountNamed(named: NamedUser, serverName: ServerName): UserId | undefined {
  const { identifier } = named
  if (identifier === undefined) {
    if (named.user !== undefined) return accountOf(named.user, serverName)
    if (named.medium !== undefined && named.address !== undefined) return undefined
    throw missingParam('An identifier is missing')
  }
  if (!isObject(identifier)) throw badJson('identifier is not an object')
  switch (identifier.type) {
    case 'm.id.user':
      if (identifier.user === undefined) throw missingParam('The user is missing in the identifier')
      return accountOf(identifier.user, serverName)
    case 'm.id.thirdparty':
    case 'm.id.phone':
      return undefined
    case undefined:
      // The specification's own example of a login by email has no type.
      if (identifier.medium !== undefined && identifier.address !== undefined) return undefined
      throw missingParam('The type is missing in the identifier')
    default:
      throw invalidParam('Unknown type of identifier')
  }
}

/**
 * The user ID that a wished-for user name leads to: capitals become small letters.
 * @returns `undefined` if it is not a name for a new account
 */
export function newUserId(username: string, serverName: ServerName): UserId | undefined {
  const localpart = lowerCase(username)
  const userId = userIdOf(localpart, serverName)
  return isNewLocalpart(localpart) && isUserId(userId) ? userId : undefined
}

/** A whole user ID or its localpart. */
function accountOf(user: unknown, serverName: ServerName): UserId | undefined {
  if (typeof user !== 'string') throw badJson('user is not a string')
  if (!user.startsWith('@')) return newUserId(user, serverName)
  return isUserId(user) && serverNameOf(user) === serverName ? newUserId(localpartOf(user), serverName) : undefined
}

/** A to Z only: other letters are in no name of ours, and some would turn into ones that are. */
function lowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
