import { forbidden, MatrixError, userLocked } from '../matrix/errors.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { findAccount } from '../storage/accounts.ts'
import type { Store } from '../storage/store.ts'
import type { Attempts } from './attempts.ts'
import { accountNamed, type NamedUser } from './identifiers.ts'
import type { Passwords } from './passwords.ts'
import type { DeviceWish, Session, Sessions } from './sessions.ts'
import type { ShortLivedTokens } from './short-lived-tokens.ts'

type PasswordLogin = { named: NamedUser; password: string; device: DeviceWish; ip: string }

export type Login = {
  /**
   * `POST /login` with `m.login.password`.
   * @throws `M_FORBIDDEN` for an unknown user and a wrong password alike, `M_USER_DEACTIVATED` and `M_USER_LOCKED`
   * only if the password was right, `M_LIMIT_EXCEEDED` after too many failures
   */
  login(login: PasswordLogin): Promise<{ userId: UserId } & Session>
  /** The same with `m.login.token`. @throws `M_FORBIDDEN` for a token that is not good; `M_USER_DEACTIVATED`, `M_USER_LOCKED` */
  loginWithToken(login: { token: string; device: DeviceWish; ip: string }): Promise<{ userId: UserId } & Session>
}

/**
 * Whether a password is that of an account, and the hash that it was compared with. An unknown account takes as long
 * as a wrong password.
 * @throws `M_LIMIT_EXCEEDED`; `M_USER_DEACTIVATED` if the password is right
 */
export type CheckPassword = (
  userId: UserId | undefined,
  password: string,
  ip: string,
) => Promise<{ userId: UserId; hash: string } | undefined>

export function createPasswordCheck(store: Store, passwords: Passwords, attempts: Attempts): CheckPassword {
  return async (userId, password, ip) => {
    await attempts.check(ip, userId)
    const account = userId && (await findAccount(store.db, userId))
    const hash = account?.password_hash
    // Looked at again when its turn comes: many at once have all seen the count from before.
    const right = await passwords.verify(hash, password, () => attempts.check(ip, userId))
    if (!right || !userId || !hash) {
      await attempts.failed(ip, userId)
      return undefined
    }
    if (account.deactivated_at !== null) throw deactivated()
    return { userId, hash }
  }
}

export function createLogin(deps: {
  store: Store
  serverName: ServerName
  checkPassword: CheckPassword
  takeLoginToken: ShortLivedTokens['takeLoginToken']
  attempts: Attempts
  sessions: Sessions
}): Login {
  const { store, serverName, checkPassword, takeLoginToken, attempts, sessions } = deps
  return {
    async login({ named, password, device, ip }) {
      const proven = await checkPassword(accountNamed(named, serverName), password, ip)
      if (!proven) throw wrongPassword()
      const { userId, hash } = proven
      return store.transaction(async (tx) => {
        // The password may have been changed, and its sessions ended, while this one was compared.
        const account = await findAccount(tx.db, userId)
        if (account?.deactivated_at !== null) throw deactivated()
        if (account.password_hash !== hash) throw wrongPassword()
        if (account.locked === 1) throw userLocked()
        return { userId, ...(await sessions.createSession(tx, userId, device)) }
      })
    },

    async loginWithToken({ token, device, ip }) {
      await attempts.check(ip)
      const session = await store.transaction(async (tx) => {
        const userId = await takeLoginToken(tx, token)
        if (userId === undefined) return undefined
        const account = await findAccount(tx.db, userId)
        if (account?.deactivated_at !== null) throw deactivated()
        if (account.locked === 1) throw userLocked()
        return { userId, ...(await sessions.createSession(tx, userId, device)) }
      })
      if (session) return session
      await attempts.failed(ip)
      throw forbidden('Invalid login token')
    },
  }
}

/** 403 `M_FORBIDDEN`, the same for an unknown user */
export const wrongPassword = () => forbidden('Invalid user name or password')
/** 403 `M_USER_DEACTIVATED` */
export const deactivated = () => new MatrixError(403, 'M_USER_DEACTIVATED', 'This account has been deactivated')
