import type { Selectable } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import type { DevicePresence, PresenceTable } from './ephemeral-tables.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

export type PresenceRow = Selectable<PresenceTable>

/** What a device says of its user, until `expires_at` (epoch ms). */
export type DeviceRow = { device_id: string; presence: DevicePresence; expires_at: number }

const selectPresence = prepared<{ userId: UserId }, PresenceRow>((db, value) =>
  db.selectFrom('presence').selectAll().where('user_id', '=', value('userId')),
)

export async function presenceRow(db: Db, userId: UserId): Promise<PresenceRow | undefined> {
  return (await selectPresence(db, { userId })).rows[0]
}

export async function presenceRows(db: Db, userIds: readonly UserId[]): Promise<PresenceRow[]> {
  if (userIds.length === 0) return []
  return db.selectFrom('presence').selectAll().where('user_id', 'in', userIds).execute()
}

export async function putPresence(db: Db, row: PresenceRow): Promise<void> {
  const { user_id: _, ...values } = row
  await db
    .insertInto('presence')
    .values(row)
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet(values))
    .execute()
}

const selectDevice = prepared<{ userId: UserId; deviceId: string }, DeviceRow>((db, value) =>
  db
    .selectFrom('presence_devices')
    .select(['device_id', 'presence', 'expires_at'])
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId')),
)

export async function presenceDevice(db: Db, userId: UserId, deviceId: string): Promise<DeviceRow | undefined> {
  return (await selectDevice(db, { userId, deviceId })).rows[0]
}

export async function presenceDevices(db: Db, userId: UserId): Promise<DeviceRow[]> {
  return db
    .selectFrom('presence_devices')
    .select(['device_id', 'presence', 'expires_at'])
    .where('user_id', '=', userId)
    .execute()
}

export async function putPresenceDevice(db: Db, userId: UserId, row: DeviceRow): Promise<void> {
  const { presence, expires_at } = row
  await db
    .insertInto('presence_devices')
    .values({ user_id: userId, ...row })
    .onConflict((conflict) => conflict.columns(['user_id', 'device_id']).doUpdateSet({ presence, expires_at }))
    .execute()
}

/** Removes a device's word, or that of all devices whose time was over before `before` (epoch ms). */
export async function removePresenceDevices(
  db: Db,
  userId: UserId,
  which: { deviceId: string } | { before: number },
): Promise<void> {
  let query = db.deleteFrom('presence_devices').where('user_id', '=', userId)
  query =
    'deviceId' in which ? query.where('device_id', '=', which.deviceId) : query.where('expires_at', '<=', which.before)
  await query.execute()
}

/** Users whose presence time has changed by now (epoch ms), the longest overdue first. */
export async function duePresence(db: Db, now: number, limit: number): Promise<UserId[]> {
  const rows = await db
    .selectFrom('presence')
    .select('user_id')
    .where('due_at', 'is not', null)
    .where('due_at', '<=', now)
    .orderBy('due_at')
    .limit(limit)
    .execute()
  return rows.map((row) => row.user_id)
}

/** When the next presence is due (epoch ms). */
export async function nextPresenceDue(db: Db): Promise<number | null> {
  const row = await db
    .selectFrom('presence')
    .select((eb) => eb.fn.min<number | null>('due_at').as('at'))
    .where('due_at', 'is not', null)
    .executeTakeFirstOrThrow()
  return row.at
}

type Range = { after: number; upTo: number; limit: number }

const selectSince = prepared<Range, PresenceRow>((db, value) =>
  db
    .selectFrom('presence')
    .selectAll()
    .where('position', '>', value('after'))
    .where('position', '<=', value('upTo'))
    .orderBy('position', 'desc')
    .limit(value('limit')),
)

/** Whose presence changed after one position and up to another, the latest first. */
export async function presenceSince(db: Db, range: Range): Promise<PresenceRow[]> {
  return (await selectSince(db, range)).rows
}
