import type { ServerName } from '../matrix/ids.ts'
import { tryParseJson } from '../matrix/json.ts'
import { verifyKeyFrom } from '../matrix/signing.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import type { Clock } from '../platform/clock.ts'
import { createInFlight } from '../platform/in-flight.ts'
import type { Logger } from '../platform/logger.ts'
import { type Network, NetworkError } from '../platform/network.ts'
import { keepResponse } from '../storage/notary-responses.ts'
import { replaceServerKeys, type ServerKeyRow, serverKeys } from '../storage/server-keys.ts'
import type { Store } from '../storage/store.ts'
import { createAskNotaries } from './ask-notaries.ts'
import type { Discovery } from './discovery.ts'
import { keyIdsIn, readKeyResponse, type VerifyKey, validUntilIn } from './key-response.ts'

export type KeyRing = {
  /**
   * The key of a server that a request made now is signed with.
   * @returns `undefined` if the server has no such key that is valid now, or cannot be asked
   */
  keyFor(serverName: ServerName, keyId: string): Promise<VerifyKey | undefined>
  /**
   * The key of a server that an event is signed with; our own keys too. A server that could not be asked is not asked
   * again for a while, so that of many events the first alone waits for it.
   * @param originServerTs when the event says it was made (epoch ms)
   * @param enforceValidity whether the key must have been valid then. Room versions 5 and later
   */
  keyForEvent(
    serverName: ServerName,
    keyId: string,
    originServerTs: number,
    enforceValidity: boolean,
  ): Promise<VerifyKey | undefined>
  /** Asks a server for its keys, unless it was asked just now. */
  refresh(serverName: ServerName): Promise<void>
  /**
   * `listener` hears of every server that has other keys than it had and does not know its former ones: it was set up anew.
   * What the keys were asked for waits for it.
   */
  onRebuilt(listener: (serverName: ServerName) => Promise<void>): void
}

const SERVERS = 5_000
const TIMEOUT_MS = 10_000
const MAX_BYTES = 256 * 1024
/** A server is asked for its keys at most this often (ms), whatever key IDs strangers name. */
const ASK_INTERVAL_MS = 30_000

/** For events, a server that did not answer usably is left alone for so long (ms). */
const SILENCE_MS = 5 * 60_000

type Known = { keys: Map<string, VerifyKey>; askedAt: number; silent: boolean }

/** Other servers' verify keys: memory, then the database, then the server itself. Server-server API, "Retrieving server keys". */
export function createKeyRing(parts: {
  store: Store
  clock: Clock
  network: Network
  discovery: Discovery
  log: Logger
  /** Our own name, and all keys that we sign or have signed with. */
  own: { serverName: ServerName; keys: readonly VerifyKey[] }
  isAllowed(serverName: ServerName): boolean
  /** Servers whose word is taken for the keys of others that cannot be asked. */
  notaries?: readonly ServerName[]
  /** `false`: a server is asked however often its keys are wanted. */
  rateLimits?: boolean
}): KeyRing {
  const { store, clock, network, discovery, log, own, isAllowed, notaries = [], rateLimits = true } = parts
  const interval = rateLimits ? ASK_INTERVAL_MS : 0
  // What another process has learned since is found out here by the same signs: a key that is not known, or over.
  const known = createBoundedCache<ServerName, Known>(SERVERS)
  const asking = createInFlight<void>()
  const askNotaries = createAskNotaries({ clock, network, discovery, log, notaries, keyOf: keyFor })
  const listeners: ((serverName: ServerName) => Promise<void>)[] = []

  async function load(serverName: ServerName): Promise<Known> {
    const keys = keysOf(await serverKeys(store.db, serverName))
    const entry = known.get(serverName) ?? { keys, askedAt: Number.NEGATIVE_INFINITY, silent: false }
    known.set(serverName, entry)
    return entry
  }

  /** Asks the server itself, together with whoever asks at the same time. */
  function ask(serverName: ServerName, entry: Known): Promise<void> {
    return asking.share(serverName, async () => {
      entry.askedAt = clock.now()
      entry.silent = true
      try {
        entry.silent = !(await fetchKeys(serverName, entry))
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error
        log.info({ serverName, detail: error.message }, 'the keys of a server could not be fetched')
      }
      if (entry.silent) entry.silent = !(await takeFromNotaries(serverName, entry))
    })
  }

  /** @returns whether there was an answer to be used */
  async function fetchKeys(serverName: ServerName, entry: Known): Promise<boolean> {
    const response = await network.http({
      ...(await discovery.resolve(serverName)),
      method: 'GET',
      path: '/_matrix/key/v2/server',
      headers: { accept: 'application/json' },
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    })
    const body = response.status === 200 ? tryParseJson(response.body.toString('utf8')) : undefined
    return keep(serverName, entry, body)
  }

  /** The newest last, so that what it does not list any more counts as old. */
  async function takeFromNotaries(serverName: ServerName, entry: Known): Promise<boolean> {
    const said = await askNotaries(serverName)
    let taken = false
    for (const body of said.toSorted((a, b) => validUntilIn(a) - validUntilIn(b)))
      taken = (await keep(serverName, entry, body)) || taken
    return taken
  }

  /** Keeps what a server says of its keys, whoever has brought it. @returns whether it is to be used */
  async function keep(serverName: ServerName, entry: Known, body: unknown): Promise<boolean> {
    const now = clock.now()
    const keys = readKeyResponse(body, serverName, now)
    if (typeof keys === 'string') {
      log.info({ serverName, detail: keys }, 'the keys of a server were not usable')
      return false
    }
    const rows = keys.map(({ keyId, publicKey, validUntil, isOld }) => ({
      server_name: serverName,
      key_id: keyId,
      public_key: publicKey,
      valid_until: validUntil,
      is_old: isOld ? 1 : 0,
      fetched_at: now,
    }))
    const isRebuilt = knowsNoneOf([...entry.keys.values()], keys)
    const said = { response: JSON.stringify(body), validUntil: validUntilIn(body) }
    entry.keys = await store.transaction(async (tx) => {
      await replaceServerKeys(tx.db, serverName, rows, now)
      await keepResponse(tx.db, serverName, keyIdsIn(body), said)
      return keysOf(await serverKeys(tx.db, serverName))
    })
    if (isRebuilt) for (const listener of listeners) await listener(serverName)
    return true
  }

  async function refresh(serverName: ServerName): Promise<void> {
    const entry = known.get(serverName) ?? (await load(serverName))
    const sinceAsked = clock.now() - entry.askedAt
    if (asking.has(serverName) || sinceAsked < 0 || sinceAsked >= interval) await ask(serverName, entry)
  }

  async function keyFor(serverName: ServerName, keyId: string): Promise<VerifyKey | undefined> {
    const entry = known.get(serverName) ?? (await load(serverName))
    const usable = () => {
      const key = entry.keys.get(keyId)
      return key && !key.isOld && key.validUntil > clock.now() ? key : undefined
    }
    const before = usable()
    if (before) return before
    await refresh(serverName)
    return usable()
  }

  return {
    refresh,
    keyFor,
    onRebuilt: (listener) => void listeners.push(listener),
    async keyForEvent(serverName, keyId, originServerTs, enforceValidity) {
      const isGood = (key: VerifyKey) => !enforceValidity || originServerTs <= key.validUntil
      if (serverName === own.serverName) return own.keys.find((key) => key.keyId === keyId && isGood(key))
      const entry = known.get(serverName) ?? (await load(serverName))
      const usable = () => {
        const key = entry.keys.get(keyId)
        return key && isGood(key) ? key : undefined
      }
      const before = usable()
      if (before || !isAllowed(serverName)) return before
      const sinceAsked = clock.now() - entry.askedAt
      if (entry.silent && sinceAsked >= 0 && sinceAsked < SILENCE_MS && !asking.has(serverName)) return undefined
      await refresh(serverName)
      return usable()
    },
  }
}

/** Whether none of the keys that a server had is among those that it names now, as present or as former ones. */
function knowsNoneOf(before: readonly VerifyKey[], named: readonly { publicKey: string }[]): boolean {
  const present = before.filter((key) => !key.isOld)
  const names = new Set(named.map((key) => key.publicKey))
  return present.length > 0 && !present.some((key) => names.has(key.publicKey))
}

function keysOf(rows: readonly ServerKeyRow[]): Map<string, VerifyKey> {
  const keys = new Map<string, VerifyKey>()
  for (const { key_id: keyId, public_key: publicKey, valid_until: validUntil, is_old: isOld } of rows) {
    const key = verifyKeyFrom(publicKey)
    if (key) keys.set(keyId, { keyId, publicKey, key, validUntil, isOld: isOld === 1 })
  }
  return keys
}
