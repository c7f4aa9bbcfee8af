import { isServerName, type ServerName } from './ids.ts'

/** What an `Authorization: X-Matrix …` header says. Server-server API, "Request Authentication". */
export type XMatrix = {
  origin: ServerName
  /** Servers from before version 1.3 of the specification leave it out. */
  destination: ServerName | undefined
  /** The ID of the key that signed, such as `ed25519:key1`. */
  keyId: string
  /** Base64. */
  signature: string
}

const MAX_LENGTH = 4096
const SCHEME = /^X-Matrix +/i
/**
 * One parameter and the comma behind it. Names are tokens; a value is quoted, or whatever has no comma, quote or white space:
 * the specification wants colons tolerated there. RFC 9110, sections 5.6.2 and 11.4.
 */
const PARAMETER = /[ \t,]*([\w!#$%&'*+.^`|~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))[ \t]*(?:,[ \t,]*|$)/y

/** The header's value as older servers can read it, too: one space, lower case, all values quoted. */
export function formatXMatrix({
  origin,
  destination,
  keyId,
  signature,
}: XMatrix & { destination: ServerName }): string {
  return `X-Matrix origin="${origin}",destination="${destination}",key="${keyId}",sig="${signature}"`
}

/**
 * Reads the header: parameters in any order, quoted or not, unknown ones ignored.
 * @returns `undefined` if it is not a usable X-Matrix header, `bad name` if a name in it is not one of a server
 */
export function parseXMatrix(header: string): XMatrix | 'bad name' | undefined {
  const scheme = SCHEME.exec(header)
  if (!scheme || header.length > MAX_LENGTH) return undefined
  const parameters = readParameters(header, scheme[0].length)
  const [origin, destination, keyId, signature] = ['origin', 'destination', 'key', 'sig'].map((name) =>
    parameters?.get(name),
  )
  if (origin === undefined || !keyId || !signature) return undefined
  if (!isServerName(origin) || (destination !== undefined && !isServerName(destination))) return 'bad name'
  return { origin, destination, keyId, signature }
}

/** @returns by name in lower case; `undefined` if the list is malformed or names a parameter twice */
function readParameters(header: string, start: number): Map<string, string> | undefined {
  const parameters = new Map<string, string>()
  PARAMETER.lastIndex = start
  while (PARAMETER.lastIndex < header.length) {
    const match = PARAMETER.exec(header)
    const name = match?.[1]?.toLowerCase()
    if (!match || !name || parameters.has(name)) return undefined
    parameters.set(name, match[3] ?? match[2]!.replace(/\\(.)/g, '$1'))
  }
  return parameters
}
