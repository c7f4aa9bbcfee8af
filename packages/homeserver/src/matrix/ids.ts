import { isIPv4, isIPv6 } from 'node:net'

declare const brand: unique symbol
/** `@localpart:server.name`, checked. */
export type UserId = string & { readonly [brand]: 'UserId' }
/** A server name: a host name or IP literal, with an optional port, checked. */
export type ServerName = string & { readonly [brand]: 'ServerName' }

/** `!opaque` or `!opaque:server.name`, checked. Appendices, "Room IDs". */
export type RoomId = string & { readonly [brand]: 'RoomId' }
/** `$opaque` or, in room versions 1 and 2, `$opaque:server.name`, checked. Appendices, "Event IDs". */
export type EventId = string & { readonly [brand]: 'EventId' }
/** `#alias:server.name`, checked. Appendices, "Room Aliases". */
export type RoomAlias = string & { readonly [brand]: 'RoomAlias' }

/** The longest user identifier, in bytes of UTF-8. Appendices, "User Identifiers". */
const MAX_USER_ID_BYTES = 255
const MAX_SERVER_NAME_LENGTH = 230

/** A server name taken apart. `host` is without the brackets of an IPv6 literal. */
export type ServerNameParts = { host: string; port: number | undefined; kind: 'ipv4' | 'ipv6' | 'name' }

/**
 * Takes a server name apart. Appendices, "Server Name".
 * @returns `undefined` if it is not a server name
 */
export function parseServerName(text: string): ServerNameParts | undefined {
  if (text.length > MAX_SERVER_NAME_LENGTH) return undefined
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z.-]{1,255}))(?::([0-9]{1,5}))?$/.exec(text)
  if (!match) return undefined
  const [, ipv6, name, portText] = match
  const port = portText === undefined ? undefined : Number(portText)
  if (port !== undefined && (port < 1 || port > 65535)) return undefined
  if (ipv6 !== undefined) return isIPv6(ipv6) ? { host: ipv6, port, kind: 'ipv6' } : undefined
  if (isIPv4(name!)) return { host: name!, port, kind: 'ipv4' }
  return { host: name!, port, kind: 'name' }
}

export function isServerName(value: unknown): value is ServerName {
  return typeof value === 'string' && parseServerName(value) !== undefined
}

/**
 * Whether `value` is a user ID, historical ones included: a localpart of any characters but `:`, NUL and
 * surrogates, a valid server name, at most 255 bytes. Appendices, "User Identifiers", "Historical User IDs".
 */
export function isUserId(value: unknown): value is UserId {
  if (typeof value !== 'string' || !value.startsWith('@')) return false
  const colon = value.indexOf(':')
  if (colon < 1 || value.slice(1, colon).includes('\0') || !value.isWellFormed()) return false
  return Buffer.byteLength(value) <= MAX_USER_ID_BYTES && isServerName(value.slice(colon + 1))
}

/** The longest room ID, event ID and room alias, in bytes of UTF-8. Appendices, "Common Identifier Format". */
const MAX_ID_BYTES = 255

/** Whether `value` is a room ID of any room version: with a server name, or without one as of version 12. */
export function isRoomId(value: unknown): value is RoomId {
  return isSigilId(value, '!')
}

/** Whether `value` is an event ID of any room version. */
export function isEventId(value: unknown): value is EventId {
  return isSigilId(value, '$')
}

export function isRoomAlias(value: unknown): value is RoomAlias {
  return isSigilId(value, '#') && value.includes(':')
}

/** A sigil, an opaque part that is not empty, and perhaps a server name; at most 255 bytes. */
function isSigilId(value: unknown, sigil: string): value is string {
  if (typeof value !== 'string' || !value.startsWith(sigil) || value.length < 2) return false
  if (value.includes('\0') || !value.isWellFormed() || Buffer.byteLength(value) > MAX_ID_BYTES) return false
  const colon = value.indexOf(':')
  return colon < 0 || (colon > 1 && isServerName(value.slice(colon + 1)))
}

/** The server name in a user ID or a room alias. */
export function serverNameOf(id: UserId | RoomAlias): ServerName {
  return id.slice(id.indexOf(':') + 1) as ServerName
}

/** The part between `@` and `:`. */
export function localpartOf(userId: UserId): string {
  return userId.slice(1, userId.indexOf(':'))
}

/** Whether a localpart may be given to a new account. Appendices, "User Identifiers". */
export function isNewLocalpart(localpart: string): boolean {
  return /^[a-z0-9._=/+-]+$/.test(localpart)
}

/** A user ID from parts that are known to be good, e.g. an account's localpart and our own name. */
export function userIdOf(localpart: string, serverName: ServerName): UserId {
  return `@${localpart}:${serverName}` as UserId
}
