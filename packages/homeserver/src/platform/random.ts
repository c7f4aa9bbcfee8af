import { createHash, randomBytes } from 'node:crypto'

/** Chance as the server sees it: seeded in tests, cryptographic in production. */
export type Random = {
  /** A number in [0, 1), for jitter. */
  fraction(): number
  /** `length` unpredictable bytes, for tokens and identifiers. */
  bytes(length: number): Buffer
}

/** The machine's cryptographic source. */
export function systemRandom(): Random {
  return {
    fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
    bytes: (length) => randomBytes(length),
  }
}

/** An unguessable identifier of `length` random bytes in URL-safe base64, as used for tokens and transaction IDs. */
export function opaqueId(random: Random, length = 18): string {
  return random.bytes(length).toString('base64url')
}

/**
 * What is kept of a token, so that a copy of the database opens nothing. Tokens are random: there is nothing to guess that a
 * slow hash would protect.
 */
export function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
