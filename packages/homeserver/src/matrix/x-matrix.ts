import { isServerName, type ServerName } from './ids.ts'

/** An `Authorization: X-Matrix …` header taken apart. Server-server API, "Request Authentication". */
export type XMatrix = { origin: ServerName; destination: ServerName | undefined; key: string; sig: string }

const MAX_LENGTH = 4096

/** @returns the header's value; all four parts are quoted, which every server reads */
export function formatXMatrix({ origin, destination, key, sig }: XMatrix): string {
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key}",sig="${sig}"`
}

/**
 * Reads the header, as RFC 9110 writes credentials: parameters in any order, quoted or not, unknown ones ignored.
 * @returns `undefined` if it is not a usable X-Matrix header
 */
export function parseXMatrix(header: string): XMatrix | undefined {
  if (header.length > MAX_LENGTH || !/^X-Matrix[ \t]/i.test(header)) return undefined
  const parameters = new Map<string, string>()
  const pattern = /\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(,|$)/y
  pattern.lastIndex = 'X-Matrix '.length
  while (pattern.lastIndex < header.length) {
    const match = pattern.exec(header)
    if (!match) return undefined
    const name = match[1]!.toLowerCase()
    if (parameters.has(name)) return undefined
    parameters.set(name, match[2] === undefined ? match[3]! : match[2].replace(/\\(.)/g, '$1'))
  }
  const [origin, destination, key, sig] = ['origin', 'destination', 'key', 'sig'].map((name) => parameters.get(name))
  if (!isServerName(origin) || key === undefined || sig === undefined || !/^[a-z0-9]+:\w+$/i.test(key)) return undefined
  if (destination !== undefined && !isServerName(destination)) return undefined
  return { origin, destination, key, sig }
}
