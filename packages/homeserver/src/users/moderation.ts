import { forbidden, invalidParam, notFound } from '../matrix/errors.ts'
import { isUserId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { type Account, findAccount, setModerated } from '../storage/accounts.ts'
import type { Store } from '../storage/store.ts'

/** What an admin can do to an account, and undo. */
type ModerationKind = 'locked' | 'suspended'

/** Client-server API, "Account moderation". Whoever calls it has made sure that `admin` is one. */
export type Moderation = {
  /**
   * Whether an account is locked, or suspended.
   * @throws `M_INVALID_PARAM` for another server's user, `M_NOT_FOUND` if there is none or it is closed, `M_FORBIDDEN` for an admin
   */
  isModerated(kind: ModerationKind, userId: string): Promise<boolean>
  /** Locks or suspends an account, or no longer does. @throws as `isModerated`; `M_FORBIDDEN` for the own account */
  moderate(kind: ModerationKind, admin: UserId, userId: string, on: boolean): Promise<void>
}

export function createModeration(store: Store, serverName: ServerName): Moderation {
  async function moderatedAccount(userId: string): Promise<Account> {
    if (!isUserId(userId) || serverNameOf(userId) !== serverName) throw invalidParam('Not a user of this server')
    const account = await findAccount(store.db, userId)
    if (!account || account.deactivated_at !== null) throw notFound('No such user')
    if (account.is_admin === 1) throw forbidden('Admins are not moderated')
    return account
  }

  return {
    isModerated: async (kind, userId) => (await moderatedAccount(userId))[kind] === 1,

    async moderate(kind, admin, userId, on) {
      if (userId === admin) throw forbidden('Nobody moderates their own account')
      const account = await moderatedAccount(userId)
      await store.transaction(async (tx) => {
        await setModerated(tx.db, account.user_id, kind, on)
        // Who waits for news is to notice.
        tx.wake([account.user_id])
      })
    },
  }
}
