import type { Selectable } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'
import type { AccessTokensTable } from './tables.ts'

/** An access token as it is kept: by its hash, with that of its refresh token if it has one. */
export type AccessTokenRow = Selectable<AccessTokensTable>

/** Whose an access token is, and what else is looked at with every request. */
export type TokenOwner = Pick<AccessTokenRow, 'user_id' | 'device_id' | 'expires_at' | 'replaces'> & {
  is_admin: number
  is_guest: number
  locked: number
  suspended: number
  last_seen_ip: string | null
  last_seen_at: number | null
}

const selectOwner = prepared<{ tokenHash: string }, TokenOwner>((db, value) =>
  db
    .selectFrom('access_tokens')
    .innerJoin('users', 'users.user_id', 'access_tokens.user_id')
    .innerJoin('devices', (join) =>
      join
        .onRef('devices.user_id', '=', 'access_tokens.user_id')
        .onRef('devices.device_id', '=', 'access_tokens.device_id'),
    )
    .select(['access_tokens.user_id', 'access_tokens.device_id', 'access_tokens.expires_at', 'access_tokens.replaces'])
    .select(['users.is_admin', 'users.is_guest', 'users.locked', 'users.suspended'])
    .select(['devices.last_seen_ip', 'devices.last_seen_at'])
    .where('access_tokens.token_hash', '=', value('tokenHash'))
    .where('users.deactivated_at', 'is', null),
)

/** Whose token has this hash; nobody's if its account is deactivated. */
export async function tokenOwner(db: Db, tokenHash: string): Promise<TokenOwner | undefined> {
  return (await selectOwner(db, { tokenHash })).rows[0]
}

/** Removes all tokens of a device. */
export async function removeTokens(db: Db, userId: UserId, deviceId: string): Promise<void> {
  await db.deleteFrom('access_tokens').where('user_id', '=', userId).where('device_id', '=', deviceId).execute()
}

export async function addToken(db: Db, token: AccessTokenRow): Promise<void> {
  await db.insertInto('access_tokens').values(token).execute()
}

/** The token that can be renewed with this refresh token. */
export async function tokenToRenew(db: Db, refreshHash: string): Promise<AccessTokenRow | undefined> {
  return db.selectFrom('access_tokens').selectAll().where('refresh_hash', '=', refreshHash).executeTakeFirst()
}

/** Removes the token that was to take the place of this one, if there is one. */
export async function removeReplacement(db: Db, tokenHash: string): Promise<void> {
  await db.deleteFrom('access_tokens').where('replaces', '=', tokenHash).execute()
}

/** Ends the token that this one replaces. */
export async function endReplaced(db: Db, token: { tokenHash: string; replaces: string }): Promise<void> {
  await db.deleteFrom('access_tokens').where('token_hash', '=', token.replaces).execute()
  await db.updateTable('access_tokens').set({ replaces: null }).where('token_hash', '=', token.tokenHash).execute()
}
