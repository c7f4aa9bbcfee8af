import { sql } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'
import type { TransitionEvent } from './tables.ts'

/** One step in the life of a list. `at` in epoch ms; `detail` is for operators only. */
export type Transition = { at: number; event: TransitionEvent; detail: string | null }

/** How many steps of one list are kept. */
const KEPT_TRANSITIONS = 50

const insert = prepared<{ userId: UserId } & Transition>((db, value) =>
  db
    .insertInto('device_list_history')
    .values({ user_id: value('userId'), at: value('at'), event: value('event'), detail: value('detail') }),
)

/** Notes a step of one list, in the transaction that takes it. */
export async function addTransition(db: Db, userId: UserId, transition: Transition): Promise<void> {
  await insert(db, { userId, ...transition })
}

/** The same step of several lists. */
export async function addTransitions(db: Db, userIds: readonly UserId[], transition: Transition): Promise<void> {
  for (const some of inParts(userIds, 500)) {
    const rows = some.map((user_id) => ({ user_id, ...transition }))
    await db.insertInto('device_list_history').values(rows).execute()
  }
}

/** What a list went through lately, the newest first. */
export async function transitionsOf(db: Db, userId: UserId): Promise<Transition[]> {
  return db
    .selectFrom('device_list_history')
    .select(['at', 'event', 'detail'])
    .where('user_id', '=', userId)
    .orderBy('id', 'desc')
    .limit(KEPT_TRANSITIONS)
    .execute()
}

/** Steps of any list after one of them, in their order. */
export async function transitionsAfter(db: Db, id: number, limit: number): Promise<{ id: number; user_id: UserId }[]> {
  return db
    .selectFrom('device_list_history')
    .select(['id', 'user_id'])
    .where('id', '>', id)
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** The newest step of any list; 0 if there is none. */
export async function newestTransition(db: Db): Promise<number> {
  const row = await db
    .selectFrom('device_list_history')
    .select((eb) => eb.fn.max('id').as('id'))
    .executeTakeFirst()
  return row?.id ?? 0
}

/** Drops steps of before `before` (epoch ms), and those that so many newer ones of the same list have followed. */
export async function trimTransitions(db: Db, before: number): Promise<void> {
  await db.deleteFrom('device_list_history').where('at', '<', before).execute()
  await sql`delete from device_list_history where id in (
    select id from (
      select id, row_number() over (partition by user_id order by id desc) as place from device_list_history
    ) as placed where place > ${KEPT_TRANSITIONS})`.execute(db)
}
