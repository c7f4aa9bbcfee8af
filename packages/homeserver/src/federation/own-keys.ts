import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ServerName } from '../matrix/ids.ts'
import {
  decodeBase64,
  encodeBase64,
  type SigningKey,
  signingKeyFromSeed,
  signJson,
  verifyKeyFrom,
} from '../matrix/signing.ts'
import type { Clock } from '../platform/clock.ts'
import { opaqueId, type Random } from '../platform/random.ts'
import { addSigningKey, signingKeys } from '../storage/signing-keys.ts'
import type { Store } from '../storage/store.ts'
import type { VerifyKey } from './key-response.ts'

/** How long others may use our keys without asking again, in milliseconds. */
const VALID_MS = 24 * 3_600_000

/**
 * This server's signing key, made at the first start. With SQLite it lies in the data folder, readable by its owner only;
 * with PostgreSQL it is in the database, since all processes share it.
 */
export async function loadSigningKey(parts: {
  store: Store
  clock: Clock
  random: Random
  dataDir: string
}): Promise<SigningKey> {
  const { store, clock, random, dataDir } = parts
  const made = () => ({ keyId: `ed25519:${opaqueId(random, 4).replace(/[^A-Za-z0-9]/g, '_')}`, seed: random.bytes(32) })
  if (store.dialect === 'postgres') {
    const newest = await store.transaction(async (tx) => {
      // Whoever holds the position is alone: of processes that start together one makes the key.
      await tx.position()
      const known = (await signingKeys(tx.db)).find((key) => key.expired_at === null)
      if (known) return known
      const { keyId, seed } = made()
      const row = { key_id: keyId, seed: encodeBase64(seed), created_at: clock.now(), expired_at: null }
      await addSigningKey(tx.db, row)
      return row
    })
    return signingKeyFromSeed(newest.key_id, decodeBase64(newest.seed))
  }
  const file = join(dataDir, 'signing.key')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) {
    const { keyId, seed } = made()
    // Written whole or not at all: half a key would be a new identity.
    await writeFile(`${file}.new`, `${keyId} ${encodeBase64(seed)}\n`, { mode: 0o600, flush: true })
    await chmod(`${file}.new`, 0o600)
    await rename(`${file}.new`, file)
    return signingKeyFromSeed(keyId, seed)
  }
  const [keyId, seed] = text.trim().split('\n', 1)[0]!.trim().split(' ')
  if (!keyId?.startsWith('ed25519:') || decodeBase64(seed ?? '').length !== 32) {
    throw new Error(`${file} is not a signing key: expected "ed25519:ID BASE64"`)
  }
  return signingKeyFromSeed(keyId, decodeBase64(seed!))
}

/** A key that this server signed with until `expiredAt` (epoch ms), and never after. */
export type OldKey = { keyId: string; publicKey: string; expiredAt: number }

/**
 * The keys that this server signed with once, so that what it signed then can still be verified. With SQLite they are further lines
 * of the key's file, `ed25519:ID PUBLIC_KEY expired MILLISECONDS`; with PostgreSQL they are in the database.
 */
export async function loadOldKeys({ store, dataDir }: { store: Store; dataDir: string }): Promise<OldKey[]> {
  if (store.dialect === 'postgres') {
    return (await signingKeys(store.db)).flatMap(({ key_id: keyId, seed, expired_at: expiredAt }) => {
      if (expiredAt === null) return []
      return [{ keyId, publicKey: signingKeyFromSeed(keyId, decodeBase64(seed)).publicKey, expiredAt }]
    })
  }
  const file = join(dataDir, 'signing.key')
  const [, ...lines] = (await readFile(file, 'utf8')).trim().split('\n')
  return lines.map((line) => {
    const match = /^(ed25519:[a-zA-Z0-9_]+) ([A-Za-z0-9+/]{43}) expired (\d{1,15})$/.exec(line.trim())
    if (!match)
      throw new Error(`${file} has a line that is no old key: expected "ed25519:ID PUBLIC_KEY expired MILLISECONDS"`)
    return { keyId: match[1]!, publicKey: match[2]!, expiredAt: Number(match[3]) }
  })
}

/** What verifies the events that we have signed, now or once. */
export function ownVerifyKeys({ keyId, publicKey }: SigningKey, oldKeys: readonly OldKey[] = []): VerifyKey[] {
  const all = [{ keyId, publicKey, expiredAt: undefined }, ...oldKeys]
  return all.map((one) => ({
    keyId: one.keyId,
    publicKey: one.publicKey,
    key: verifyKeyFrom(one.publicKey)!,
    validUntil: one.expiredAt ?? Number.POSITIVE_INFINITY,
    isOld: one.expiredAt !== undefined,
  }))
}

/** The answer to `GET /_matrix/key/v2/server`. Server-server API, "Publishing Keys". @param now epoch ms */
export function publishedKeys(
  serverName: ServerName,
  key: SigningKey,
  now: number,
  oldKeys: readonly OldKey[] = [],
): object {
  const keys = {
    server_name: serverName,
    valid_until_ts: now + VALID_MS,
    verify_keys: { [key.keyId]: { key: key.publicKey } },
    old_verify_keys: Object.fromEntries(
      oldKeys.map(({ keyId, publicKey, expiredAt }) => [keyId, { key: publicKey, expired_ts: expiredAt }]),
    ),
  }
  return signJson(keys, serverName, key)
}
