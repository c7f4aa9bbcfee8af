import { LRUCache } from 'lru-cache'
import type { ServerName } from '../matrix/ids.ts'
import { tryParseJson } from '../matrix/json.ts'
import { verifyKeyFrom } from '../matrix/signing.ts'
import type { Clock } from '../platform/clock.ts'
import { createInFlight } from '../platform/in-flight.ts'
import type { Logger } from '../platform/logger.ts'
import { type Network, NetworkError } from '../platform/network.ts'
import { keepResponse } from '../storage/notary-responses.ts'
import { replaceServerKeys, serverKeys } from '../storage/server-keys.ts'
import type { Store } from '../storage/store.ts'
import type { Discovery } from './discovery.ts'
import { keyIdsIn, readKeyResponse, type VerifyKey, validUntilIn } from './key-response.ts'

export type KeyRing = {
  /**
   * The key of a server that a request made now is signed with.
   * @returns `undefined` if the server has no such key that is valid now, or cannot be asked
   */
  keyFor(serverName: ServerName, keyId: string): Promise<VerifyKey | undefined>
  /** Asks a server for its keys, unless it was asked just now. */
  refresh(serverName: ServerName): Promise<void>
}

const SERVERS = 5_000
const TIMEOUT_MS = 10_000
const MAX_BYTES = 256 * 1024
/** A server is asked for its keys at most this often (ms), whatever key IDs strangers name. */
const ASK_INTERVAL_MS = 30_000

type Known = { keys: Map<string, VerifyKey>; askedAt: number }

/** Other servers' verify keys: memory, then the database, then the server itself. Server-server API, "Retrieving server keys". */
export function createKeyRing(parts: {
  store: Store
  clock: Clock
  network: Network
  discovery: Discovery
  log: Logger
}): KeyRing {
  const { store, clock, network, discovery, log } = parts
  const known = new LRUCache<ServerName, Known>({ max: SERVERS })
  const asking = createInFlight<void>()

  async function load(serverName: ServerName): Promise<Known> {
    const rows = await serverKeys(store.db, serverName)
    const keys = new Map<string, VerifyKey>()
    for (const row of rows) {
      const key = verifyKeyFrom(row.public_key)
      if (key) keys.set(row.key_id, { keyId: row.key_id, publicKey: row.public_key, key, validUntil: row.valid_until })
    }
    const entry = known.get(serverName) ?? { keys, askedAt: Number.NEGATIVE_INFINITY }
    known.set(serverName, entry)
    return entry
  }

  /** Asks the server itself, together with whoever asks at the same time. */
  function ask(serverName: ServerName, entry: Known): Promise<void> {
    return asking.share(serverName, async () => {
      entry.askedAt = clock.now()
      try {
        await fetchKeys(serverName, entry)
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error
        log.info({ serverName, detail: error.message }, 'the keys of a server could not be fetched')
      }
    })
  }

  async function fetchKeys(serverName: ServerName, entry: Known): Promise<void> {
    const response = await network.http({
      ...(await discovery.resolve(serverName)),
      method: 'GET',
      path: '/_matrix/key/v2/server',
      headers: { accept: 'application/json' },
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    })
    const now = clock.now()
    const body = response.status === 200 ? tryParseJson(response.body.toString('utf8')) : undefined
    const keys = readKeyResponse(body, serverName, now)
    if (typeof keys === 'string') {
      log.info({ serverName, status: response.status, detail: keys }, 'the keys of a server were not usable')
      return
    }
    const rows = keys.map(({ keyId, publicKey, validUntil }) => ({
      server_name: serverName,
      key_id: keyId,
      public_key: publicKey,
      valid_until: validUntil,
      fetched_at: now,
    }))
    const said = { response: JSON.stringify(body), validUntil: validUntilIn(body) }
    await store.transaction(async (tx) => {
      await replaceServerKeys(tx.db, serverName, rows)
      await keepResponse(tx.db, serverName, keyIdsIn(body), said)
    })
    entry.keys = new Map(keys.map((key) => [key.keyId, key]))
  }

  async function refresh(serverName: ServerName): Promise<void> {
    const entry = known.get(serverName) ?? (await load(serverName))
    const sinceAsked = clock.now() - entry.askedAt
    if (asking.has(serverName) || sinceAsked < 0 || sinceAsked >= ASK_INTERVAL_MS) await ask(serverName, entry)
  }

  return {
    refresh,
    async keyFor(serverName, keyId) {
      const entry = known.get(serverName) ?? (await load(serverName))
      const usable = () => {
        const key = entry.keys.get(keyId)
        return key && key.validUntil > clock.now() ? key : undefined
      }
      const before = usable()
      if (before) return before
      await refresh(serverName)
      return usable()
    },
  }
}
