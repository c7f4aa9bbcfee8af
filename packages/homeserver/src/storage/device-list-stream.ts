import type { UserId } from '../matrix/ids.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

const upsertWaiter = prepared<{ requester: UserId; userId: UserId; now: number; waiting: number }>((db, value) =>
  db
    .insertInto('device_list_waiters')
    .values({
      requester: value('requester'),
      user_id: value('userId'),
      asked_at: value('now'),
      waiting: value('waiting'),
    })
    .onConflict((conflict) =>
      conflict
        .columns(['user_id', 'requester'])
        .doUpdateSet((eb) => ({ asked_at: eb.ref('excluded.asked_at'), waiting: eb.ref('excluded.waiting') })),
    ),
)

/** Notes that somebody asked for a list; `waiting` if they are to be told when it arrives. */
export async function addWaiter(
  db: Db,
  waiter: { requester: UserId; userId: UserId; now: number; waiting: boolean },
): Promise<void> {
  await upsertWaiter(db, { ...waiter, waiting: waiter.waiting ? 1 : 0 })
}

/** Whether anybody waits to be told of this list. */
export async function isAwaited(db: Db, userId: UserId): Promise<boolean> {
  const row = await db
    .selectFrom('device_list_waiters')
    .select('requester')
    .where('user_id', '=', userId)
    .where('waiting', '=', 1)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

const endWaitingRows = prepared<{ userId: UserId }, { requester: UserId }>((db, value) =>
  db
    .updateTable('device_list_waiters')
    .set({ waiting: 0 })
    .where('user_id', '=', value('userId'))
    .where('waiting', '=', 1)
    .returning('requester'),
)

/** Those who waited for this list and will now be told: none of them waits any longer. */
export async function endWaiting(db: Db, userId: UserId): Promise<UserId[]> {
  return (await endWaitingRows(db, { userId })).rows.map((row) => row.requester)
}

/** When the requester last asked for this list (epoch ms), if within the time that it is remembered for. */
export async function askedAt(db: Db, requester: UserId, userId: UserId): Promise<number | undefined> {
  const row = await db
    .selectFrom('device_list_waiters')
    .select('asked_at')
    .where('user_id', '=', userId)
    .where('requester', '=', requester)
    .executeTakeFirst()
  return row?.asked_at
}

/** Forgets who asked before `before` (epoch ms). */
export async function forgetWaiters(db: Db, before: number): Promise<void> {
  await db.deleteFrom('device_list_waiters').where('asked_at', '<', before).execute()
}

const insertChange = prepared<{ position: number; userId: UserId }>((db, value) =>
  db
    .insertInto('device_list_changes')
    .values({ position: value('position'), user_id: value('userId') })
    .onConflict((conflict) => conflict.doNothing()),
)

/** Tells everybody who shares a room with one of these users, and the users themselves. */
export async function addChanges(db: Db, position: number, userIds: readonly UserId[]): Promise<void> {
  const [userId] = userIds
  if (userId !== undefined && userIds.length === 1) {
    await insertChange(db, { position, userId })
    return
  }
  await db
    .insertInto('device_list_changes')
    .values(userIds.map((user_id) => ({ position, user_id })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

const insertNotice = prepared<{ requester: UserId; position: number; userId: UserId }>((db, value) =>
  db
    .insertInto('device_list_notices')
    .values({ requester: value('requester'), position: value('position'), user_id: value('userId') })
    .onConflict((conflict) => conflict.doNothing()),
)

/** Tells these requesters alone that a user's list is worth asking for. */
export async function addNotices(
  db: Db,
  position: number,
  requesters: readonly UserId[],
  userId: UserId,
): Promise<void> {
  const [requester] = requesters
  if (requester !== undefined && requesters.length === 1) {
    await insertNotice(db, { requester, position, userId })
    return
  }
  await db
    .insertInto('device_list_notices')
    .values(requesters.map((one) => ({ requester: one, position, user_id: userId })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

const selectChanged = prepared<{ after: number; upTo: number }, { user_id: UserId }>((db, value) =>
  db
    .selectFrom('device_list_changes')
    .select('user_id')
    .distinct()
    .where('position', '>', value('after'))
    .where('position', '<=', value('upTo')),
)

/** Users whose list changed after position `after`, up to `upTo`. */
export async function changedUsers(db: Db, after: number, upTo: number): Promise<UserId[]> {
  return (await selectChanged(db, { after, upTo })).rows.map((row) => row.user_id)
}

const selectNoticed = prepared<{ requester: UserId; after: number; upTo: number }, { user_id: UserId }>((db, value) =>
  db
    .selectFrom('device_list_notices')
    .select('user_id')
    .distinct()
    .where('requester', '=', value('requester'))
    .where('position', '>', value('after'))
    .where('position', '<=', value('upTo')),
)

/** Users that one requester is told of after position `after`, up to `upTo`. */
export async function noticedUsers(db: Db, requester: UserId, after: number, upTo: number): Promise<UserId[]> {
  return (await selectNoticed(db, { requester, after, upTo })).rows.map((row) => row.user_id)
}

/**
 * Drops rows of both streams up to `position` that a newer row of the same user repeats, so that the streams stay as
 * long as there are users and not as there were changes. Whoever comes back after that still hears of every user.
 */
export async function dropRepeated(db: Db, position: number): Promise<void> {
  await db
    .deleteFrom('device_list_changes')
    .where('position', '<=', position)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('device_list_changes as newer')
          .select('newer.user_id')
          .whereRef('newer.user_id', '=', 'device_list_changes.user_id')
          .whereRef('newer.position', '>', 'device_list_changes.position'),
      ),
    )
    .execute()
  await db
    .deleteFrom('device_list_notices')
    .where('position', '<=', position)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('device_list_notices as newer')
          .select('newer.user_id')
          .whereRef('newer.requester', '=', 'device_list_notices.requester')
          .whereRef('newer.user_id', '=', 'device_list_notices.user_id')
          .whereRef('newer.position', '>', 'device_list_notices.position'),
      ),
    )
    .execute()
}
