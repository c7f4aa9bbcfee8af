import { createHmac, timingSafeEqual } from 'node:crypto'
import { forbidden, invalidParam, limitExceeded, MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import { opaqueId, type Random, tokenHash } from '../platform/random.ts'
import { putProfileField } from '../storage/profiles.ts'
import { addShortLivedToken, countShortLivedTokens, takeShortLivedToken } from '../storage/short-lived-tokens.ts'
import type { Store } from '../storage/store.ts'
import type { Accounts } from './accounts.ts'
import { isPossiblePassword, type Passwords } from './passwords.ts'
import type { Session, Sessions } from './sessions.ts'

const NONCE_MS = 60_000
const MAX_NONCES = 10_000
const PURPOSE = 'shared secret registration'

type Wish = {
  nonce: string
  username: string
  password: string
  admin: boolean
  displayName: string | undefined
  userType: string | undefined
  inhibitLogin: boolean
  /** HMAC-SHA1 in hexadecimal; see `macOf`. */
  mac: string
}

export type SharedSecretRegistration = {
  /** A nonce that proves that a request was made for this server now, once. @throws where no secret is set */
  registrationNonce(): Promise<string>
  /**
   * Makes an account for whoever knows the shared secret of the settings, as the ecosystem's tools do.
   * @throws `M_UNKNOWN` without a secret or with a nonce that is not good, `M_FORBIDDEN` for a wrong MAC, and what
   * registration throws for a name
   */
  registerWithSharedSecret(wish: Wish): Promise<{ userId: UserId; session: Session | undefined }>
}

export function createSharedSecretRegistration(deps: {
  store: Store
  clock: Clock
  random: Random
  secret: string | undefined
  accounts: Accounts
  passwords: Passwords
  sessions: Sessions
}): SharedSecretRegistration {
  const { store, clock, random, secret, accounts, passwords, sessions } = deps

  function requireSecret(): string {
    if (secret === undefined) throw unknown('Shared secret registration is not enabled')
    return secret
  }

  return {
    async registrationNonce() {
      requireSecret()
      const nonce = opaqueId(random, 32)
      const now = clock.now()
      const kept = { tokenHash: tokenHash(nonce), purpose: PURPOSE, userId: null, expiresAt: now + NONCE_MS } as const
      await store.transaction(async (tx) => {
        await addShortLivedToken(tx.db, kept, now)
        if ((await countShortLivedTokens(tx.db, PURPOSE)) > MAX_NONCES) throw limitExceeded(NONCE_MS)
      })
      return nonce
    },

    async registerWithSharedSecret(wish) {
      const key = requireSecret()
      const nonce = { tokenHash: tokenHash(wish.nonce), purpose: PURPOSE } as const
      const known = await store.transaction((tx) => takeShortLivedToken(tx.db, nonce, clock.now()))
      if (!known) throw unknown('unrecognised nonce')
      if (!isSame(wish.mac, macOf(key, wish))) throw forbidden('HMAC incorrect')
      if (!isPossiblePassword(wish.password)) throw invalidParam('The password is empty or too long')
      const userId = await accounts.freeUserId(wish.username)
      const passwordHash = await passwords.hash(wish.password)
      return store.transaction(async (tx) => {
        await accounts.add(tx, { userId, passwordHash, admin: wish.admin })
        if (wish.displayName !== undefined) {
          await putProfileField(tx.db, userId, { name: 'displayname', value: JSON.stringify(wish.displayName) })
        }
        if (wish.inhibitLogin) return { userId, session: undefined }
        return {
          userId,
          session: await sessions.createSession(tx, userId, { deviceId: undefined, displayName: undefined }),
        }
      })
    },
  }
}

/** HMAC-SHA1 over the parts with NUL between them, as hexadecimal. */
function macOf(key: string, { nonce, username, password, admin, userType }: Wish): string {
  const parts = [nonce, username, password, admin ? 'admin' : 'notadmin', ...(userType === undefined ? [] : [userType])]
  return createHmac('sha1', key).update(parts.join('\0')).digest('hex')
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given.toLowerCase()), Buffer.from(wanted)]
  return a.length === b.length && timingSafeEqual(a, b)
}

const unknown = (error: string) => new MatrixError(400, 'M_UNKNOWN', error)
