import { isServerName, isUserId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { entriesOf, isObject } from '../matrix/json.ts'
import { createSemaphore } from '../platform/semaphore.ts'
import { type KeyClaim, takeKey } from '../storage/one-time-keys.ts'
import type { DeviceParts } from './ports.ts'

/** Keys by user, device and `algorithm:id`. */
type ClaimedKeys = Record<string, Record<string, Record<string, unknown>>>
type ClaimFailures = Record<string, { status: number; message: string }>

export type Claim = {
  /**
   * Claims a key for each device asked for, of our users and of others.
   * Client-server API, "POST /keys/claim".
   * @param waitMs how long to wait for other servers, in milliseconds
   */
  claim(claims: readonly KeyClaim[], waitMs: number): Promise<{ one_time_keys: ClaimedKeys; failures: ClaimFailures }>
  /** The part of it that other servers may ask for: keys of our users. Server-server API, "POST /user/keys/claim". */
  claimLocal(claims: readonly KeyClaim[]): Promise<ClaimedKeys>
}

/** Other servers asked at the same time. */
const PARALLEL = 20
const MAX_ANSWER_BYTES = 2 * 1024 * 1024

/** Each key is given out once and in the order of upload; the fallback key when none is left. */
export function createClaim({ store, serverName, request, lists }: DeviceParts): Claim {
  async function claimLocal(claims: readonly KeyClaim[]): Promise<ClaimedKeys> {
    if (claims.length === 0) return createCollection().keys
    return store.transaction(async (tx) => {
      const found = createCollection()
      // In one order for everybody, so that two claims never wait for each other in a circle.
      for (const claim of claims.toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))) {
        const taken = await takeKey(tx.db, claim)
        if (!taken) continue
        found.add(claim, `${claim.algorithm}:${taken.keyId}`, JSON.parse(taken.key))
        // The owner's client is to upload more.
        tx.wake([claim.userId])
      }
      return found.keys
    })
  }

  async function claimRemote(
    destination: ServerName,
    claims: readonly KeyClaim[],
    waitMs: number,
  ): Promise<{ status: number; message: string } | unknown[]> {
    const answer = await request(destination, {
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/claim',
      body: { one_time_keys: wanted(claims) },
      timeoutMs: waitMs,
      maxBytes: MAX_ANSWER_BYTES,
    })
    if (answer.kind === 'failure') return { status: 503, message: 'The server could not be asked' }
    if (answer.status !== 200 || !isObject(answer.body))
      return { status: answer.status === 200 ? 502 : answer.status, message: 'The server did not answer with keys' }
    return [answer.body.one_time_keys]
  }

  /** Takes the keys that another server gave. Devices that it gave none for may be gone. */
  async function takeOver(found: Collection, claims: readonly KeyClaim[], answer: unknown): Promise<void> {
    const omitted = claims.filter((claim) => !found.addFrom(claim, answer))
    for (const [userId, some] of Map.groupBy(omitted, (claim) => claim.userId)) {
      await lists.claimOmitted(
        userId,
        some.map((claim) => claim.deviceId),
      )
    }
  }

  return {
    claimLocal,
    async claim(claims, waitMs) {
      const byServer = Map.groupBy(claims, (claim) => serverNameOf(claim.userId))
      const found = createCollection(await claimLocal(byServer.get(serverName) ?? []))
      byServer.delete(serverName)
      const failures = new Map<ServerName, { status: number; message: string }>()
      const permits = createSemaphore(PARALLEL)
      await Promise.all(
        [...byServer].map(([destination, theirs]) =>
          permits.run(async () => {
            const answer = await claimRemote(destination, theirs, waitMs)
            if (!Array.isArray(answer)) failures.set(destination, answer)
            else await takeOver(found, theirs, answer[0])
          }),
        ),
      )
      return { one_time_keys: found.keys, failures: Object.fromEntries(failures) }
    },
  }
}

const sortKey = (claim: KeyClaim) => `${claim.userId}\n${claim.deviceId}\n${claim.algorithm}`

/** The claims as they go on the wire. */
function wanted(claims: readonly KeyClaim[]): Record<string, Record<string, string>> {
  const users = new Map<UserId, [string, string][]>()
  for (const { userId, deviceId, algorithm } of claims) {
    users.set(userId, [...(users.get(userId) ?? []), [deviceId, algorithm]])
  }
  return Object.fromEntries([...users].map(([userId, devices]) => [userId, Object.fromEntries(devices)]))
}

type Collection = ReturnType<typeof createCollection>

/** Gathers keys by names that come from outside, which may be any. */
function createCollection(start: ClaimedKeys = {}) {
  const keys: ClaimedKeys = Object.assign(Object.create(null), start)
  const add = (claim: KeyClaim, id: string, key: unknown) => {
    keys[claim.userId] ??= Object.create(null)
    keys[claim.userId]![claim.deviceId] = Object.fromEntries([[id, key]])
  }
  return {
    keys,
    add,
    /** Takes from another server's answer what was asked for, and nothing else. @returns whether it was there */
    addFrom(claim: KeyClaim, answer: unknown): boolean {
      const ofUser = entriesOf(answer).find(([userId]) => userId === claim.userId)?.[1]
      const ofDevice = entriesOf(ofUser).find(([deviceId]) => deviceId === claim.deviceId)?.[1]
      const key = entriesOf(ofDevice).find(([id]) => id.startsWith(`${claim.algorithm}:`))
      if (key) add(claim, ...key)
      return key !== undefined
    },
  }
}

/**
 * Reads `{userId: {deviceId: algorithm}}` of a request.
 * @param ofServer only users of this server count, where it is given
 * @returns `undefined` if the shape is wrong
 */
export function readClaims(body: unknown, ofServer?: ServerName): KeyClaim[] | undefined {
  if (!isObject(body)) return undefined
  const claims: KeyClaim[] = []
  for (const [userId, devices] of Object.entries(body)) {
    if (!isUserId(userId) || !isObject(devices)) return undefined
    if (ofServer !== undefined && serverNameOf(userId) !== ofServer) continue
    if (!isServerName(serverNameOf(userId))) return undefined
    for (const [deviceId, algorithm] of Object.entries(devices)) {
      if (typeof algorithm !== 'string') return undefined
      claims.push({ userId, deviceId, algorithm })
    }
  }
  return claims
}
