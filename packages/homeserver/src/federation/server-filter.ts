import { parseServerName, type ServerName } from '../matrix/ids.ts'

/**
 * Whether the lists of the settings let a server through. `*` stands for any characters; a name without a port stands for all
 * ports. Deny wins; an empty `allow` allows everybody.
 */
export function serverFilter(deny: readonly string[], allow: readonly string[]): (name: ServerName) => boolean {
  const [isDenied, isAllowed] = [anyOf(deny), anyOf(allow)]
  return (name) => !isDenied(name) && (allow.length === 0 || isAllowed(name))
}

function anyOf(list: readonly string[]): (name: ServerName) => boolean {
  const patterns = list.map((entry) => new RegExp(`^${entry.toLowerCase().split('*').map(RegExp.escape).join('.*')}$`))
  return (name) => {
    const spellings = [name, hostOf(name)].map((spelling) => spelling.toLowerCase())
    return patterns.some((pattern) => spellings.some((spelling) => pattern.test(spelling)))
  }
}

/** The name without its port. */
function hostOf(name: ServerName): string {
  const { host, kind } = parseServerName(name)!
  return kind === 'ipv6' ? `[${host}]` : host
}
