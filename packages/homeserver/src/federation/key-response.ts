import type { KeyObject } from 'node:crypto'
import type { ServerName } from '../matrix/ids.ts'
import { entriesOf, isObject } from '../matrix/json.ts'
import { verifyJson, verifyKeyFrom } from '../matrix/signing.ts'

/** A verify key and until when it may be trusted (epoch ms). An old one is good for events of before then alone. */
export type VerifyKey = { keyId: string; publicKey: string; key: KeyObject; validUntil: number; isOld: boolean }

/** No key is trusted for longer than this without being fetched again (ms). Server-server API, "Publishing Keys". */
const LONGEST_MS = 7 * 24 * 3_600_000
const MAX_KEYS = 50
/** More key IDs than the specification allows, since servers have such; but none that a database does not take. */
const KEY_ID = /^ed25519:[!-~]{1,100}$/
const PUBLIC_KEY = /^[A-Za-z0-9+/_-]{43}=?$/

/**
 * Reads a server's answer to `GET /_matrix/key/v2/server`: it names that server, and is signed by each key it lists.
 * @param now epoch ms
 * @returns the keys, old ones behind those in use, or in words what is wrong
 */
export function readKeyResponse(body: unknown, serverName: ServerName, now: number): VerifyKey[] | string {
  if (!isObject(body) || body.server_name !== serverName) return 'the keys are not those of the server that was asked'
  if (!Number.isSafeInteger(body.valid_until_ts)) return 'valid_until_ts is not an integer'
  const validUntil = Math.min(body.valid_until_ts as number, now + LONGEST_MS)
  const keys: VerifyKey[] = []
  for (const [keyId, value] of entriesOf(body.verify_keys).slice(0, MAX_KEYS)) {
    const publicKey = isObject(value) ? value.key : undefined
    if (!KEY_ID.test(keyId) || typeof publicKey !== 'string') continue
    const key = PUBLIC_KEY.test(publicKey) ? verifyKeyFrom(publicKey) : undefined
    if (!key || !verifyJson(body, serverName, keyId, key)) return `the keys are not signed by ${keyId}`
    keys.push({ keyId, publicKey, key, validUntil, isOld: false })
  }
  return keys.length > 0 ? [...keys, ...oldKeys(body, keys, now)] : 'there is no key that we can use'
}

/** Keys that the server has signed with once; one that cannot be used is passed over. */
function oldKeys(body: Record<string, unknown>, current: readonly VerifyKey[], now: number): VerifyKey[] {
  return entriesOf(body.old_verify_keys)
    .slice(0, MAX_KEYS)
    .flatMap(([keyId, value]) => {
      const { key: publicKey, expired_ts: expiredAt } = isObject(value) ? value : {}
      if (!KEY_ID.test(keyId) || typeof publicKey !== 'string' || !Number.isSafeInteger(expiredAt)) return []
      if (current.some((one) => one.keyId === keyId)) return []
      const key = PUBLIC_KEY.test(publicKey) ? verifyKeyFrom(publicKey) : undefined
      return key ? [{ keyId, publicKey, key, validUntil: Math.min(expiredAt as number, now), isOld: true }] : []
    })
}

/** All keys that a good response names, those that have expired among them. */
export function keyIdsIn(body: unknown): string[] {
  const { verify_keys: current, old_verify_keys: old } = body as Record<string, unknown>
  const named = [...entriesOf(current), ...entriesOf(old)].map(([keyId]) => keyId)
  return [...new Set(named.filter((keyId) => KEY_ID.test(keyId)))].slice(0, MAX_KEYS)
}

/** Until when a good response says that it is valid (epoch ms). */
export function validUntilIn(body: unknown): number {
  return (body as { valid_until_ts: number }).valid_until_ts
}
