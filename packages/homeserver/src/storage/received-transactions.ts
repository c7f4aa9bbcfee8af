import type { ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** What was answered to a transaction, as JSON text; `undefined` if it was not received yet. */
export async function receivedResponse(db: Db, origin: ServerName, txnId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('received_transactions')
    .select('response')
    .where('origin', '=', origin)
    .where('txn_id', '=', txnId)
    .executeTakeFirst()
  return row?.response
}

/** Remembers what was answered. @param now epoch ms */
export async function saveResponse(
  db: Db,
  received: { origin: ServerName; txnId: string; response: string; now: number },
): Promise<void> {
  const { origin, txnId, response, now } = received
  await db
    .insertInto('received_transactions')
    .values({ origin, txn_id: txnId, response, received_at: now })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Forgets transactions received before `before` (epoch ms). */
export async function forgetTransactions(db: Db, before: number): Promise<void> {
  await db.deleteFrom('received_transactions').where('received_at', '<', before).execute()
}
