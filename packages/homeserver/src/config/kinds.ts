import ipaddr from 'ipaddr.js'
import { isServerName } from '../matrix/ids.ts'
import { roomVersion as findRoomVersion, ROOM_VERSIONS } from '../state/room-versions.ts'
import type { ListenAddress } from './settings.ts'

/** How a value of some kind is read: from text (a variable) or from YAML. */
export type Kind<T> = {
  /** What a value should have been, for the line that refuses one: "expected …". */
  expected: string
  /** @returns `undefined` if the value is not of this kind */
  read(value: unknown): T | undefined
}

export const text: Kind<string> = {
  expected: 'a text',
  read: (value) => (typeof value === 'string' && value !== '' ? value : undefined),
}

/** A YAML number is taken for text here: a token may consist of digits. */
export const secret: Kind<string> = {
  expected: 'a text',
  read: (value) => (typeof value === 'number' ? String(value) : text.read(value)),
}

export const serverName: Kind<string> = {
  expected: 'a server name, such as example.org or localhost:8448',
  read: (value) => (isServerName(value) ? value : undefined),
}

export const addressRange: Kind<string> = {
  expected: 'an IP address, or a range of them such as 10.0.0.0/8',
  read: (value) =>
    typeof value === 'string' &&
    (ipaddr.isValidCIDR(value) || ipaddr.IPv4.isValidFourPartDecimal(value) || ipaddr.IPv6.isValid(value))
      ? value
      : undefined,
}

/** A YAML number is taken for text here, too: versions look like numbers. */
export const roomVersion: Kind<string> = {
  expected: `a room version: ${ROOM_VERSIONS.map((version) => version.id).join(', ')}`,
  read: (value) => findRoomVersion(String(value))?.id,
}

export const flag: Kind<boolean> = {
  expected: 'true or false',
  read: (value) =>
    value === true || value === 'true' ? true : value === false || value === 'false' ? false : undefined,
}

/** `on` and `off`, which YAML may or may not take for true and false itself. */
export const onOff: Kind<boolean> = {
  expected: 'on or off',
  read: (value) => (value === 'on' || value === true ? true : value === 'off' || value === false ? false : undefined),
}

/** @param least the smallest value that makes sense */
export function whole(least: number, unit: string): Kind<number> {
  return {
    expected: `a whole number of ${unit}, at least ${least}`,
    read(value) {
      const number = typeof value === 'string' && /^[0-9]{1,15}$/.test(value.trim()) ? Number(value) : value
      return Number.isSafeInteger(number) && (number as number) >= least ? (number as number) : undefined
    },
  }
}

export function oneOf<const T extends string>(...choices: T[]): Kind<T> {
  return { expected: choices.join(', '), read: (value) => choices.find((choice) => choice === value) }
}

/** A list in YAML, or a text with separators. */
export function list(separator: ',' | ':', entry: Kind<string> = text): Kind<string[]> {
  return {
    expected: `a list, or texts with "${separator}" between them`,
    read(value) {
      const parts = typeof value === 'string' ? value.split(separator).map((part) => part.trim()) : value
      if (!Array.isArray(parts)) return undefined
      const entries = parts.filter((part) => part !== '').map((part) => entry.read(part))
      return entries.every((one) => one !== undefined) ? entries : undefined
    },
  }
}

export const address: Kind<ListenAddress> = {
  expected: 'an address such as 127.0.0.1:8008 or [::1]:8008',
  read(value) {
    const match =
      typeof value === 'string' ? /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(value.trim()) : null
    const port = Number(match?.[3])
    return match && port <= 65_535 ? { host: (match[1] ?? match[2])!, port } : undefined
  },
}

/** An address, or `off`. `null` stands for off. */
export const addressOrOff: Kind<ListenAddress | null> = {
  expected: `off, or ${address.expected}`,
  read: (value) => (value === 'off' || value === false ? null : address.read(value)),
}

export const databaseUrl: Kind<string> = {
  expected: 'postgres://user:password@host:port/database',
  read: (value) => (typeof value === 'string' && /^postgres(ql)?:\/\/\S+$/.test(value) ? value : undefined),
}

export const httpUrl: Kind<string> = {
  expected: 'an address that begins with http:// or https://',
  read: (value) =>
    typeof value === 'string' && /^https?:\/\/\S+$/.test(value) ? value.replace(/\/+$/, '') : undefined,
}
