import type { ServerName } from '../matrix/ids.ts'
import { entriesOf, isObject, tryParseJson } from '../matrix/json.ts'
import { verifyJson } from '../matrix/signing.ts'
import type { Clock } from '../platform/clock.ts'
import type { Logger } from '../platform/logger.ts'
import { type Network, NetworkError } from '../platform/network.ts'
import type { Discovery } from './discovery.ts'
import type { VerifyKey } from './key-response.ts'

/** What servers have said of their keys, as a notary has kept it and vouches for it; nothing of it is believed yet. */
export type AskNotaries = (serverName: ServerName) => Promise<object[]>

/** Servers that are asked about in one request, and how long it waits for more of them (ms). */
const MAX_SERVERS = 100
const GATHER_MS = 50
const TIMEOUT_MS = 15_000
const MAX_BYTES = 8 * 1024 * 1024

/**
 * Asks notaries for keys of servers that cannot be asked themselves, one notary after the other, many servers in one request.
 * Server-server API, "Querying Keys Through Another Server".
 * @param keyOf a notary's own key
 */
export function createAskNotaries(parts: {
  clock: Clock
  network: Network
  discovery: Discovery
  log: Logger
  notaries: readonly ServerName[]
  keyOf(notary: ServerName, keyId: string): Promise<VerifyKey | undefined>
}): AskNotaries {
  const { clock, network, discovery, log, notaries, keyOf } = parts
  let gathered = new Map<ServerName, PromiseWithResolvers<object[]>>()

  async function answersOf(notary: ServerName, servers: readonly ServerName[]): Promise<unknown[]> {
    const response = await network.http({
      ...(await discovery.resolve(notary)),
      method: 'POST',
      path: '/_matrix/key/v2/query',
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      body: JSON.stringify({ server_keys: Object.fromEntries(servers.map((name) => [name, {}])) }),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    })
    const body = response.status === 200 ? tryParseJson(response.body.toString('utf8')) : undefined
    return isObject(body) && Array.isArray(body.server_keys) ? body.server_keys : []
  }

  /** Whether the notary itself has signed this answer. */
  async function isVouchedFor(notary: ServerName, answer: object): Promise<boolean> {
    const { signatures } = answer as { signatures?: unknown }
    const own = entriesOf(signatures).find(([signer]) => signer === notary)?.[1]
    for (const [keyId] of entriesOf(own).slice(0, 3)) {
      const key = await keyOf(notary, keyId)
      if (key && verifyJson(answer, notary, keyId, key.key)) return true
    }
    return false
  }

  async function askOne(notary: ServerName, servers: readonly ServerName[]): Promise<Map<unknown, object[]>> {
    const found = new Map<unknown, object[]>()
    try {
      for (const answer of (await answersOf(notary, servers)).slice(0, MAX_SERVERS * 10)) {
        if (!isObject(answer) || !(await isVouchedFor(notary, answer))) continue
        found.set(answer.server_name, [...(found.get(answer.server_name) ?? []), answer])
      }
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error
      log.info({ notary, detail: error.message }, 'a notary could not be asked')
    }
    return found
  }

  async function askAll(wanted: ReadonlyMap<ServerName, PromiseWithResolvers<object[]>>): Promise<void> {
    const missing = new Map(wanted)
    for (const notary of notaries) {
      const about = [...missing.keys()].filter((name) => name !== notary)
      if (about.length === 0) continue
      const found = await askOne(notary, about)
      for (const name of about) {
        const answers = found.get(name)
        if (!answers) continue
        missing.get(name)!.resolve(answers)
        missing.delete(name)
      }
    }
    for (const { resolve } of missing.values()) resolve([])
  }

  function send(): void {
    const wanted = gathered
    gathered = new Map()
    askAll(wanted).catch((error: unknown) => {
      for (const { reject } of wanted.values()) reject(error)
    })
  }

  return (serverName) => {
    if (notaries.length === 0) return Promise.resolve([])
    const waiting = gathered.get(serverName) ?? Promise.withResolvers<object[]>()
    if (gathered.size === 0) {
      const these = gathered
      clock.after(GATHER_MS, () => {
        if (these === gathered) send()
      })
    }
    gathered.set(serverName, waiting)
    if (gathered.size >= MAX_SERVERS) send()
    return waiting.promise
  }
}
