import type { RawBuilder, Selectable } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import { isPostgres } from './dialect.ts'
import { preparedForAny } from './prepared.ts'
import type { Db } from './store.ts'
import type { DevicesTable } from './tables.ts'

/** One of our users' devices, as it is kept. */
export type DeviceRow = Selectable<DevicesTable>
/** What other users may see of it. */
export type LocalDevice = Pick<DeviceRow, 'user_id' | 'device_id' | 'display_name' | 'device_keys'>

const choose = (db: Db, isChosen: RawBuilder<boolean>) =>
  db
    .selectFrom('devices')
    .select(['user_id', 'device_id', 'display_name', 'device_keys'])
    .where(isChosen)
    .orderBy('user_id')
    .orderBy('device_id')
const selectDevices = preparedForAny<LocalDevice>('user_id', choose)
const selectDevicesForKeyShare = preparedForAny<LocalDevice>('user_id', (db, isChosen) =>
  isPostgres(db) ? choose(db, isChosen).forKeyShare() : choose(db, isChosen),
)

/** All devices of these users, in the order of their IDs. */
export async function localDevices(db: Db, userIds: readonly UserId[]): Promise<LocalDevice[]> {
  return selectDevices(db, userIds)
}

/** The same devices, none of which goes before the transaction ends. */
export async function heldDevices(db: Db, userIds: readonly UserId[]): Promise<LocalDevice[]> {
  return selectDevicesForKeyShare(db, userIds)
}

/** A user's devices with when and where each was seen last. */
export async function devicesOf(db: Db, userId: UserId): Promise<DeviceRow[]> {
  return db.selectFrom('devices').selectAll().where('user_id', '=', userId).orderBy('device_id').execute()
}

/** @returns `undefined` if there is no such device */
export async function findDevice(db: Db, userId: UserId, deviceId: string): Promise<DeviceRow | undefined> {
  return db
    .selectFrom('devices')
    .selectAll()
    .where('user_id', '=', userId)
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
}

/** The same device, which neither goes nor is held by anybody else before the transaction ends. */
export async function holdDevice(db: Db, userId: UserId, deviceId: string): Promise<DeviceRow | undefined> {
  const device = db.selectFrom('devices').selectAll().where('user_id', '=', userId).where('device_id', '=', deviceId)
  return (isPostgres(db) ? device.forNoKeyUpdate() : device).executeTakeFirst()
}

/** Adds a device made at `now` (epoch ms). @returns `false` if it is there already */
export async function addDevice(
  db: Db,
  device: { userId: UserId; deviceId: string; displayName: string | null; now: number },
): Promise<boolean> {
  const result = await db
    .insertInto('devices')
    .values({
      user_id: device.userId,
      device_id: device.deviceId,
      display_name: device.displayName,
      created_at: device.now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('device_id')
    .executeTakeFirst()
  return result !== undefined
}

/** Changes some columns of a device. */
export async function updateDevice(
  db: Db,
  userId: UserId,
  deviceId: string,
  columns: Partial<
    Pick<DeviceRow, 'display_name' | 'device_keys' | 'last_seen_ip' | 'last_seen_at' | 'last_seen_user_agent'>
  >,
): Promise<void> {
  await db.updateTable('devices').set(columns).where('user_id', '=', userId).where('device_id', '=', deviceId).execute()
}

/** Deletes devices with all that belongs to them: tokens, keys, messages. @returns those that were there */
export async function deleteDevices(db: Db, userId: UserId, deviceIds: readonly string[]): Promise<string[]> {
  if (deviceIds.length === 0) return []
  if (isPostgres(db)) {
    // In the same order as `heldDevices`, so that the two never wait for each other in a circle.
    const going = db.selectFrom('devices').select('device_id').where('user_id', '=', userId)
    await going.where('device_id', 'in', deviceIds).orderBy('device_id').forUpdate().execute()
  }
  const rows = await db
    .deleteFrom('devices')
    .where('user_id', '=', userId)
    .where('device_id', 'in', deviceIds)
    .returning('device_id')
    .execute()
  return rows.map((row) => row.device_id)
}
