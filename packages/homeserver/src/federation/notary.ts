import type { ServerName } from '../matrix/ids.ts'
import { type SigningKey, signJson } from '../matrix/signing.ts'
import type { Clock } from '../platform/clock.ts'
import { createSemaphore } from '../platform/semaphore.ts'
import { type KeptResponse, keptResponses } from '../storage/notary-responses.ts'
import type { Store } from '../storage/store.ts'
import type { KeyRing } from './key-ring.ts'

/** What is asked of one server: key IDs with until when they have to be valid (epoch ms); none stands for all keys. */
export type KeyCriteria = ReadonlyMap<string, number>

/** Servers asked at the same time for one query. */
const PARALLEL = 10

/**
 * Vouches for other servers' keys. Server-server API, "Querying Keys Through Another Server".
 * @returns a function that gives the servers' own answers, signed by us as well; none for a server of which nothing is known
 */
export function createNotary(parts: {
  store: Store
  clock: Clock
  serverName: ServerName
  signingKey: SigningKey
  keyRing: Pick<KeyRing, 'refresh'>
  isAllowed(serverName: ServerName): boolean
  publishedKeys(): object
}): (asked: ReadonlyMap<ServerName, KeyCriteria>) => Promise<object[]> {
  const { store, clock, serverName: ownName, signingKey, keyRing, isAllowed, publishedKeys } = parts

  function isEnough(kept: readonly KeptResponse[], criteria: KeyCriteria): boolean {
    if (criteria.size === 0) return kept.some(({ validUntil }) => validUntil > clock.now())
    const until = new Map(kept.map(({ keyId, validUntil }) => [keyId, validUntil]))
    return [...criteria].every(([keyId, wanted]) => (until.get(keyId) ?? Number.NEGATIVE_INFINITY) >= wanted)
  }

  async function answersOf(serverName: ServerName, criteria: KeyCriteria): Promise<object[]> {
    if (serverName === ownName) return [publishedKeys()]
    if (!isAllowed(serverName)) return []
    let kept = await keptResponses(store.db, serverName)
    if (!isEnough(kept, criteria)) {
      await keyRing.refresh(serverName)
      kept = await keptResponses(store.db, serverName)
    }
    const wanted = kept.filter(({ keyId }) => criteria.size === 0 || criteria.has(keyId))
    const responses = new Set(wanted.map(({ response }) => response))
    return [...responses].map((response) => signJson(JSON.parse(response), ownName, signingKey))
  }

  return async (asked) => {
    const permits = createSemaphore(PARALLEL)
    const answers = await Promise.all([...asked].map((one) => permits.run(() => answersOf(...one))))
    return answers.flat()
  }
}
