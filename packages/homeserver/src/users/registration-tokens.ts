import { timingSafeEqual } from 'node:crypto'
import type { Settings } from '../config/settings.ts'
import type { Clock } from '../platform/clock.ts'
import { opaqueId, type Random } from '../platform/random.ts'
import { hasAccounts } from '../storage/accounts.ts'
import { addAdminToken, isUsableToken, unusedAdminToken, useToken } from '../storage/registration-tokens.ts'
import type { Store, Tx } from '../storage/store.ts'

/** Tokens that allow registering. Client-server API, "Token-authenticated registration". */
export type RegistrationTokens = {
  /** Whether a token could be used now. */
  isUsable(token: string): Promise<boolean>
  /** Uses a token, in the transaction that makes the account. @returns `undefined` if it cannot be used any more */
  use(tx: Tx, token: string): Promise<{ makesAdmin: boolean } | undefined>
  /**
   * The token for the first account, who is an admin: made if registration takes tokens and nobody is registered,
   * the same one again until it is used, and after that `undefined`.
   */
  ensureFirst(): Promise<string | undefined>
}

/** Appendices, "Opaque Identifiers"; at most 64 characters. */
const TOKEN = /^[0-9A-Za-z._~-]{1,64}$/

export function createRegistrationTokens(
  store: Store,
  clock: Clock,
  random: Random,
  settings: Pick<Settings, 'registration' | 'registrationToken'>,
): RegistrationTokens {
  const isFixed = (token: string) => settings.registrationToken !== undefined && same(token, settings.registrationToken)
  return {
    async isUsable(token) {
      return isFixed(token) || (TOKEN.test(token) && (await isUsableToken(store.db, token, clock.now())))
    },
    async use(tx, token) {
      return isFixed(token) ? { makesAdmin: false } : useToken(tx.db, token, clock.now())
    },
    async ensureFirst() {
      if (settings.registration !== 'token') return undefined
      return store.transaction(async (tx) => {
        // Holds back other processes that start at the same time: there is to be one token.
        await tx.position()
        const unused = await unusedAdminToken(tx.db)
        if (unused !== undefined || (await hasAccounts(tx.db))) return unused
        const token = opaqueId(random, 24)
        await addAdminToken(tx.db, token)
        return token
      })
    },
  }
}

/** Compares in a time that does not tell how much is equal. */
function same(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)]
  return a.length === b.length && timingSafeEqual(a, b)
}
