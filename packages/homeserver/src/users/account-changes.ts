import { invalidParam } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import { removeAllAccountData } from '../storage/account-data.ts'
import { deactivateAccount, setPasswordHash } from '../storage/accounts.ts'
import { removeProfile } from '../storage/profiles.ts'
import type { Store, Tx } from '../storage/store.ts'
import { isPossiblePassword, type Passwords } from './passwords.ts'
import type { Sessions } from './sessions.ts'

export type AccountChanges = {
  /**
   * `POST /account/password`: sets another password and, if asked to, logs the user's other devices out.
   * @throws `M_INVALID_PARAM` for a password that cannot be one
   */
  changePassword(
    requester: { userId: UserId; deviceId: string },
    change: { password: string; logoutDevices: boolean },
  ): Promise<void>
  /**
   * `POST /account/deactivate`: the account is closed for good, its name stays taken.
   * @param erase whether what they wrote is to be forgotten as far as possible
   */
  deactivate(userId: UserId, erase: boolean): Promise<void>
}

/**
 * @param forgetKeys forgets what only this user could read; part of the transaction that closes the account, as is
 * `leaveRooms`, which has the user leave all rooms later
 */
export function createAccountChanges(deps: {
  store: Store
  clock: Clock
  passwords: Passwords
  sessions: Sessions
  forgetKeys(tx: Tx, userId: UserId): Promise<void>
  leaveRooms(tx: Tx, userId: UserId): Promise<void>
}): AccountChanges {
  const { store, clock, passwords, sessions, forgetKeys, leaveRooms } = deps
  return {
    async changePassword({ userId, deviceId }, { password, logoutDevices }) {
      if (!isPossiblePassword(password)) throw invalidParam('The password is empty or too long')
      const hash = await passwords.hash(password)
      await store.transaction(async (tx) => {
        await setPasswordHash(tx.db, userId, hash)
        if (logoutDevices) await sessions.endSessions(tx, userId, deviceId)
      })
    },

    deactivate: (userId, erase) =>
      store.transaction(async (tx) => {
        await deactivateAccount(tx.db, userId, { now: clock.now(), erase })
        await sessions.endSessions(tx, userId)
        await removeAllAccountData(tx.db, userId)
        await forgetKeys(tx, userId)
        await leaveRooms(tx, userId)
        if (erase) await removeProfile(tx.db, userId)
      }),
  }
}
