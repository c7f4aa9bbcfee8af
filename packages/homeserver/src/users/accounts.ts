import { MatrixError } from '../matrix/errors.ts'
import { localpartOf, type ServerName, type UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import { addAccount, findAccount, upgradeGuest } from '../storage/accounts.ts'
import { putProfileField } from '../storage/profiles.ts'
import { removeAdminTokens } from '../storage/registration-tokens.ts'
import type { Store, Tx } from '../storage/store.ts'
import { newUserId } from './identifiers.ts'
import { isPossiblePassword, type Passwords } from './passwords.ts'

export type Accounts = {
  /** Whether there is such an account of ours, deactivated ones included. */
  exists(userId: UserId): Promise<boolean>
  /** The user ID for a wished-for name. @throws `M_INVALID_USERNAME`, `M_USER_IN_USE` */
  freeUserId(username: string): Promise<UserId>
  /** Adds an account, in the transaction of what belongs to it. @throws `M_USER_IN_USE` */
  add(tx: Tx, account: NewAccount): Promise<void>
  /** Makes a guest's account one of a user. @throws `M_USER_IN_USE` if it is no guest's */
  upgrade(tx: Tx, userId: UserId, passwordHash: string): Promise<void>
  /** Makes an account on the operator's behalf. */
  create(account: { localpart: string; password: string; admin: boolean }): Promise<Created>
}

/** A guest has no password. */
type NewAccount = { userId: UserId; passwordHash: string | null; admin: boolean; guest?: boolean }

type Created =
  | { kind: 'created'; userId: UserId }
  | { kind: 'invalid name' }
  | { kind: 'name in use' }
  | { kind: 'invalid password' }

export function createAccounts(store: Store, clock: Clock, serverName: ServerName, passwords: Passwords): Accounts {
  const exists = async (userId: UserId) => (await findAccount(store.db, userId)) !== undefined

  /** @returns `false` if the user ID is taken */
  async function added(tx: Tx, account: NewAccount): Promise<boolean> {
    if (!(await addAccount(tx.db, { guest: false, ...account, now: clock.now() }))) return false
    // Until they say otherwise, people are called as they log in, and not by nothing at all.
    const displayName = JSON.stringify(localpartOf(account.userId))
    await putProfileField(tx.db, account.userId, { name: 'displayname', value: displayName })
    // The token was for the first admin, and there is one now.
    if (account.admin) await removeAdminTokens(tx.db)
    return true
  }

  return {
    exists,

    async freeUserId(username) {
      const userId = newUserId(username, serverName)
      if (!userId) throw invalidUsername()
      if (await exists(userId)) throw userInUse()
      return userId
    },

    async add(tx, account) {
      if (!(await added(tx, account))) throw userInUse()
    },

    async upgrade(tx, userId, passwordHash) {
      if (!(await upgradeGuest(tx.db, userId, passwordHash))) throw userInUse()
    },

    async create({ localpart, password, admin }) {
      const userId = newUserId(localpart, serverName)
      if (!userId) return { kind: 'invalid name' }
      if (!isPossiblePassword(password)) return { kind: 'invalid password' }
      const passwordHash = await passwords.hash(password)
      const done = await store.transaction((tx) => added(tx, { userId, passwordHash, admin }))
      return done ? { kind: 'created', userId } : { kind: 'name in use' }
    },
  }
}

const userInUse = () => new MatrixError(400, 'M_USER_IN_USE', 'This user name is taken')
const invalidUsername = () =>
  new MatrixError(400, 'M_INVALID_USERNAME', 'A user name has only a-z, 0-9 and . _ = - / +, and is not too long')
