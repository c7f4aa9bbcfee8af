import type { ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/**
 * The server name that this database belongs to: the one given if it belongs to none yet, which is then for good.
 * @returns the name, and whether it was settled just now
 */
export async function settleServerName(db: Db, serverName: ServerName): Promise<{ name: string; settled: boolean }> {
  const added = await db
    .insertInto('server_info')
    .values({ name: 'server_name', value: serverName })
    .onConflict((conflict) => conflict.doNothing())
    .returning('value')
    .executeTakeFirst()
  if (added) return { name: added.value, settled: true }
  const { value } = await db
    .selectFrom('server_info')
    .select('value')
    .where('name', '=', 'server_name')
    .executeTakeFirstOrThrow()
  return { name: value, settled: false }
}
