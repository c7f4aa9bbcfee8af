import { sql } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import { isPostgres } from './dialect.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** A one-time or fallback key: `keyId` is without the algorithm, `key` JSON text. */
export type StoredKey = { algorithm: string; keyId: string; key: string }

type OfDevice = { userId: UserId; deviceId: string }

const selectCounts = prepared<OfDevice, { algorithm: string; count: number }>((db, value) =>
  db
    .selectFrom('one_time_keys')
    .select(['algorithm', (eb) => eb.fn.countAll<number>().as('count')])
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId'))
    .groupBy('algorithm'),
)

/** How many one-time keys a device has left, by algorithm. */
export async function oneTimeKeyCounts(db: Db, userId: UserId, deviceId: string): Promise<Record<string, number>> {
  const { rows } = await selectCounts(db, { userId, deviceId })
  return Object.fromEntries(rows.map((row) => [row.algorithm, Number(row.count)]))
}

const selectUnused = prepared<OfDevice, { algorithm: string }>((db, value) =>
  db
    .selectFrom('fallback_keys')
    .select('algorithm')
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId'))
    .where('used', '=', 0),
)

/** Algorithms whose fallback key of a device has not been given out. */
export async function unusedFallbackKeyTypes(db: Db, userId: UserId, deviceId: string): Promise<string[]> {
  return (await selectUnused(db, { userId, deviceId })).rows.map((row) => row.algorithm)
}

/** Those of these one-time keys that are there, by ID. */
export async function knownOneTimeKeys(db: Db, device: OfDevice, keyIds: readonly string[]): Promise<StoredKey[]> {
  if (keyIds.length === 0) return []
  return db
    .selectFrom('one_time_keys')
    .select(['algorithm', 'key_id as keyId', 'key'])
    .where('user_id', '=', device.userId)
    .where('device_id', '=', device.deviceId)
    .where('key_id', 'in', keyIds)
    .execute()
}

/** Adds one-time keys behind those that are there, in the order given. */
export async function addOneTimeKeys(db: Db, device: OfDevice, keys: readonly StoredKey[]): Promise<void> {
  if (keys.length === 0) return
  const last = await db
    .selectFrom('one_time_keys')
    .select((eb) => eb.fn.max('ordinal').as('ordinal'))
    .where('user_id', '=', device.userId)
    .where('device_id', '=', device.deviceId)
    .executeTakeFirst()
  const first = (last?.ordinal ?? 0) + 1
  await db
    .insertInto('one_time_keys')
    .values(
      keys.map(({ algorithm, keyId, key }, index) => ({
        user_id: device.userId,
        device_id: device.deviceId,
        algorithm,
        key_id: keyId,
        ordinal: first + index,
        key,
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Puts fallback keys in the place of those before, not given out yet; the same key again stays as it is. */
export async function putFallbackKeys(db: Db, device: OfDevice, keys: readonly StoredKey[]): Promise<void> {
  if (keys.length === 0) return
  await db
    .insertInto('fallback_keys')
    .values(
      keys.map(({ algorithm, keyId, key }) => ({
        user_id: device.userId,
        device_id: device.deviceId,
        algorithm,
        key_id: keyId,
        key,
        used: 0,
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['user_id', 'device_id', 'algorithm']).doUpdateSet((eb) => ({
        used: sql<number>`case when fallback_keys.key_id = excluded.key_id and fallback_keys.key = excluded.key
          then fallback_keys.used else 0 end`,
        key_id: eb.ref('excluded.key_id'),
        key: eb.ref('excluded.key'),
      })),
    )
    .execute()
}

/** One key of one algorithm of one device that somebody asks for. */
export type KeyClaim = OfDevice & { algorithm: string }

const takeOne = prepared<KeyClaim, { keyId: string; key: string }>((db, value) => {
  const first = db
    .selectFrom('one_time_keys')
    .select('key_id')
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId'))
    .where('algorithm', '=', value('algorithm'))
    .orderBy('ordinal')
    .limit(1)
  // Two claims at the same time must not wait for each other and then both find the first key gone.
  const free = isPostgres(db) ? first.forUpdate().skipLocked() : first
  return db
    .deleteFrom('one_time_keys')
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId'))
    .where('algorithm', '=', value('algorithm'))
    .where('key_id', '=', free)
    .returning(['key_id as keyId', 'key'])
})

const useFallback = prepared<KeyClaim, { keyId: string; key: string }>((db, value) =>
  db
    .updateTable('fallback_keys')
    .set({ used: 1 })
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId'))
    .where('algorithm', '=', value('algorithm'))
    .returning(['key_id as keyId', 'key']),
)

/**
 * Gives out the oldest one-time key, once and for ever; the fallback key if there is none left.
 * Client-server API, "One-time and fallback keys".
 */
export async function takeKey(db: Db, claim: KeyClaim): Promise<{ keyId: string; key: string } | undefined> {
  const taken = (await takeOne(db, claim)).rows[0]
  return taken ?? (await useFallback(db, claim)).rows[0]
}
