import type { UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** One field of a profile; `value` is JSON. */
export type ProfileField = { name: string; value: string }

/** All fields of a user of ours, by name. */
export async function profileFields(db: Db, userId: UserId): Promise<ProfileField[]> {
  return db
    .selectFrom('profile_fields')
    .select(['name', 'value'])
    .where('user_id', '=', userId)
    .orderBy('name')
    .execute()
}

/** Sets a field, or replaces it. */
export async function putProfileField(db: Db, userId: UserId, field: ProfileField): Promise<void> {
  await db
    .insertInto('profile_fields')
    .values({ user_id: userId, ...field })
    .onConflict((conflict) => conflict.columns(['user_id', 'name']).doUpdateSet({ value: field.value }))
    .execute()
}

/** Removes a field, if it is there. */
export async function removeProfileField(db: Db, userId: UserId, name: string): Promise<void> {
  await db.deleteFrom('profile_fields').where('user_id', '=', userId).where('name', '=', name).execute()
}

/** Removes all fields of a user. */
export async function removeProfile(db: Db, userId: UserId): Promise<void> {
  await db.deleteFrom('profile_fields').where('user_id', '=', userId).execute()
}
