import type { Kysely } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import * as first from './0001-foundation.ts'
import * as second from './0002-accounts.ts'
import * as third from './0003-rooms.ts'
import * as fourth from './0004-ephemeral.ts'
import * as fifth from './0005-rate-limits.ts'
import * as sixth from './0006-search-and-reports.ts'
import * as seventh from './0007-notifications.ts'
import * as eighth from './0008-user-agents.ts'
import * as ninth from './0009-media.ts'
import * as tenth from './0010-device-list-watch.ts'
import * as eleventh from './0011-account-moderation.ts'
import * as twelfth from './0012-device-list-counts.ts'

/** Forward only, in this order, never changed once released. */
const migrations: Record<string, Migration> = {
  '0001-foundation': first,
  '0002-accounts': second,
  '0003-rooms': third,
  '0004-ephemeral': fourth,
  '0005-rate-limits': fifth,
  '0006-search-and-reports': sixth,
  '0007-notifications': seventh,
  '0008-user-agents': eighth,
  '0009-media': ninth,
  '0010-device-list-watch': tenth,
  '0011-account-moderation': eleventh,
  '0012-device-list-counts': twelfth,
}

/**
 * Brings a database to the newest schema. Several processes may call it at the same time: one of them works.
 * @throws what went wrong; a database written by a newer version is refused
 */
export async function migrate<T>(database: Kysely<T>): Promise<void> {
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}
