import type { ServerName } from '../matrix/ids.ts'
import { isLeasedIn } from './leases.ts'
import type { Db } from './store.ts'

/** Claims or prolongs a destination for one process. Times in epoch ms. @returns whether it has it now */
export async function claimDestination(
  db: Db,
  lease: { destination: ServerName; holder: string; until: number },
  now: number,
): Promise<boolean> {
  const { holder, until } = lease
  const rows = await db
    .insertInto('sender_leases')
    .values(lease)
    .onConflict((conflict) =>
      conflict
        .column('destination')
        .doUpdateSet({ holder, until })
        .where((eb) =>
          eb.or([eb('sender_leases.holder', '=', holder), eb.not(isLeasedIn('sender_leases.until', now))]),
        ),
    )
    .returning('holder')
    .execute()
  return rows.length > 0
}

export async function releaseDestination(db: Db, destination: ServerName, holder: string): Promise<void> {
  await db.deleteFrom('sender_leases').where('destination', '=', destination).where('holder', '=', holder).execute()
}
