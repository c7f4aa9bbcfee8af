import { promises as dns } from 'node:dns'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Dns, NetworkError } from './network.ts'
import { createSemaphore } from './semaphore.ts'

/** One question to one name server waits this long (ms), this often. */
const RESOLVER = { timeout: 2_000, tries: 2 }
/** The system's own lookup runs on threads that files and password hashes need too: it gets few of them. */
const LOOKUPS_AT_ONCE = 2

/**
 * The machine's DNS: its hosts file, then name servers, then, for names that only the system itself knows (search
 * domains, other name services), the system's own lookup.
 */
export function systemDns(): Dns {
  const resolver = new dns.Resolver(RESOLVER)
  const lookups = createSemaphore(LOOKUPS_AT_ONCE)
  const orNone = (answer: Promise<string[]>) => answer.catch(() => [])

  async function asSystemSays(hostname: string): Promise<string[]> {
    try {
      const found = await lookups.run(() => dns.lookup(hostname, { all: true }))
      return found.map(({ address }) => address)
    } catch (error) {
      throw new NetworkError('name', (error as Error).message)
    }
  }

  return {
    async addresses(hostname) {
      const listed = parseHosts(await readFile(hostsFile(), 'utf8').catch(() => '')).get(hostname.toLowerCase())
      if (listed) return listed
      const found = await Promise.all([orNone(resolver.resolve4(hostname)), orNone(resolver.resolve6(hostname))])
      return found.some((some) => some.length > 0) ? found.flat() : asSystemSays(hostname)
    },
    async srv(name) {
      try {
        return await resolver.resolveSrv(name)
      } catch (error) {
        const { code } = error as { code?: string }
        if (code === dns.NODATA || code === dns.NOTFOUND) return []
        throw new NetworkError('name', `${code}: no SRV records of ${name}`)
      }
    },
  }
}

function hostsFile(): string {
  if (process.platform !== 'win32') return '/etc/hosts'
  return join(process.env.SystemRoot ?? 'C:\\Windows', 'System32', 'drivers', 'etc', 'hosts')
}

/** Reads a hosts file. @returns addresses by name in lower case */
export function parseHosts(text: string): Map<string, string[]> {
  const hosts = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    for (const name of names) hosts.set(name.toLowerCase(), [...(hosts.get(name.toLowerCase()) ?? []), address!])
  }
  return hosts
}
