import type { UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import { opaqueId, type Random, tokenHash } from '../platform/random.ts'
import { findAccount } from '../storage/accounts.ts'
import * as storage from '../storage/short-lived-tokens.ts'
import type { Store, Tx } from '../storage/store.ts'

/** How long a token for a login is good (ms). */
const LOGIN_TOKEN_MS = 2 * 60_000
/** How long a token that proves who somebody is to a third party is good (ms). */
const OPENID_TOKEN_MS = 3_600_000

/** A new token, and for how long it is good (ms). */
type NewToken = { token: string; expiresInMs: number }

export type ShortLivedTokens = {
  /** A token with which another client can log in once. Client-server API, "Token-based user login". */
  newLoginToken(userId: UserId): Promise<NewToken>
  /** Uses a login token up. @returns `undefined` if it is not good */
  takeLoginToken(tx: Tx, token: string): Promise<UserId | undefined>
  /** A token by which a third party learns who somebody is. Client-server API, "OpenID". */
  newOpenIdToken(userId: UserId): Promise<NewToken>
  /** Whose OpenID token it is. @returns `undefined` if it is not good, or its account is gone */
  openIdUser(token: string): Promise<UserId | undefined>
}

export function createShortLivedTokens(store: Store, clock: Clock, random: Random): ShortLivedTokens {
  async function add(purpose: 'login' | 'openid', userId: UserId, expiresInMs: number): Promise<NewToken> {
    const token = opaqueId(random, 32)
    const now = clock.now()
    const kept = { tokenHash: tokenHash(token), purpose, userId, expiresAt: now + expiresInMs }
    await store.transaction((tx) => storage.addShortLivedToken(tx.db, kept, now))
    return { token, expiresInMs }
  }

  return {
    newLoginToken: (userId) => add('login', userId, LOGIN_TOKEN_MS),
    async takeLoginToken(tx, token) {
      const wanted = { tokenHash: tokenHash(token), purpose: 'login' } as const
      return (await storage.takeShortLivedToken(tx.db, wanted, clock.now()))?.user_id ?? undefined
    },
    newOpenIdToken: (userId) => add('openid', userId, OPENID_TOKEN_MS),
    async openIdUser(token) {
      const wanted = { tokenHash: tokenHash(token), purpose: 'openid' } as const
      const userId = (await storage.findShortLivedToken(store.db, wanted, clock.now()))?.user_id
      const account = userId && (await findAccount(store.db, userId))
      return account && account.deactivated_at === null ? account.user_id : undefined
    },
  }
}
