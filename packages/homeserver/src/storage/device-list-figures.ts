import { sql } from 'kysely'
import type { ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** Lists in the same state, for the same reason. */
type StateCount = { state: 'fresh' | 'pending' | 'failing' | 'untracked'; reason: string; count: number }

/** How all lists are, and what waits. Ages in milliseconds. */
export type DeviceListFigures = {
  states: StateCount[]
  /** Age of the oldest doubt about a list that somebody needs; 0 if there is none. */
  oldestDoubtMs: number
  /** By upper bound in ms: how many of the lists with whose users a room is shared were confirmed within it. */
  ages: Map<number, number>
  /** Tracked lists in all. */
  tracked: number
  /** Rows that wait to go to other servers. */
  queued: { deviceListUpdates: number; toDeviceMessages: number }
  destinations: { failing: number; limited: number }
}

const HOUR = 3_600_000
/** Upper bounds of the ages that lists are counted by (ms). */
export const AGE_BOUNDS = [HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR, 7 * 24 * HOUR]

/** Reads all of it off the tables, which costs more the more lists there are: for a scrape, not for a request. */
export async function deviceListFigures(db: Db, now: number): Promise<DeviceListFigures> {
  const stale = sql<boolean>`wanted_gen > synced_gen`
  const state = sql<StateCount['state']>`case when ${stale} and next_attempt_at >= 9000000000000000 then 'untracked'
    when ${stale} and attempts > 0 then 'failing' when ${stale} then 'pending'
    when tracked = 1 then 'fresh' else 'untracked' end`
  const reason = sql<string>`case when ${stale} then coalesce(reason, '') else '' end`
  const states = await db
    .selectFrom('device_lists')
    .select([state.as('state'), reason.as('reason'), sql<number>`count(*)`.as('count')])
    .groupBy([sql`1`, sql`2`])
    .execute()
  const oldest = await db
    .selectFrom('device_lists')
    .select((eb) => eb.fn.min('doubted_at').as('at'))
    .where(stale)
    .where('tracked', '=', 1)
    .executeTakeFirst()
  const within = AGE_BOUNDS.map((bound, index) =>
    sql<number>`sum(case when confirmed_at > ${now - bound} then 1 else 0 end)`.as(`within_${index}`),
  )
  const ages = (await db
    .selectFrom('device_lists')
    .select([sql<number>`count(*)`.as('tracked'), ...within])
    .where('tracked', '=', 1)
    .executeTakeFirstOrThrow()) as Record<string, number | null>
  const count = async (table: 'outgoing_device_updates' | 'outgoing_device_messages') =>
    Number((await db.selectFrom(table).select(sql<number>`count(*)`.as('n')).executeTakeFirstOrThrow()).n)
  const servers = await db
    .selectFrom('destinations')
    .select([
      sql<number>`coalesce(sum(case when failures > 0 then 1 else 0 end), 0)`.as('failing'),
      sql<number>`coalesce(sum(case when retry_after_until > ${now} then 1 else 0 end), 0)`.as('limited'),
    ])
    .executeTakeFirstOrThrow()
  return {
    states: states.map((row) => ({ ...row, count: Number(row.count) })),
    oldestDoubtMs: oldest?.at ? Math.max(0, now - Number(oldest.at)) : 0,
    ages: new Map(AGE_BOUNDS.map((bound, index) => [bound, Number(ages[`within_${index}`] ?? 0)])),
    tracked: Number(ages.tracked),
    queued: {
      deviceListUpdates: await count('outgoing_device_updates'),
      toDeviceMessages: await count('outgoing_device_messages'),
    },
    destinations: { failing: Number(servers.failing), limited: Number(servers.limited) },
  }
}

/** A server as operators see it; times in epoch ms. */
export type DestinationOverview = {
  server: ServerName
  failures: number
  failing_since: number | null
  next_attempt_at: number | null
  retry_after_until: number | null
  last_error: string | null
  last_success_at: number | null
  last_heard_at: number | null
}

/** Servers, those that fail first. */
export async function destinationOverview(
  db: Db,
  filter: { failing: boolean; now: number; limit: number },
): Promise<DestinationOverview[]> {
  let query = db
    .selectFrom('destinations')
    .select([
      'server_name as server',
      'failures',
      'failing_since',
      'next_attempt_at',
      'retry_after_until',
      'last_error',
      'last_success_at',
      'last_heard_at',
    ])
    .orderBy('failures', 'desc')
    .orderBy('server_name')
    .limit(filter.limit)
  if (filter.failing) query = query.where(sql<boolean>`failures > 0 or retry_after_until > ${filter.now}`)
  return query.execute()
}
