import type { ServerName } from '../matrix/ids.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

const selectResponse = prepared<{ origin: ServerName; txnId: string }, { response: string }>((db, value) =>
  db
    .selectFrom('received_transactions')
    .select('response')
    .where('origin', '=', value('origin'))
    .where('txn_id', '=', value('txnId')),
)

/** What was answered to a transaction, as JSON text; `undefined` if it was not received yet. */
export async function receivedResponse(db: Db, origin: ServerName, txnId: string): Promise<string | undefined> {
  return (await selectResponse(db, { origin, txnId })).rows[0]?.response
}

type Received = { origin: ServerName; txnId: string; response: string; now: number }

const insertResponse = prepared<Received>((db, value) =>
  db
    .insertInto('received_transactions')
    .values({
      origin: value('origin'),
      txn_id: value('txnId'),
      response: value('response'),
      received_at: value('now'),
    })
    .onConflict((conflict) => conflict.doNothing()),
)

/** Remembers what was answered. @param now epoch ms */
export async function saveResponse(db: Db, received: Received): Promise<void> {
  await insertResponse(db, received)
}

/** Forgets transactions received before `before` (epoch ms). */
export async function forgetTransactions(db: Db, before: number): Promise<void> {
  await db.deleteFrom('received_transactions').where('received_at', '<', before).execute()
}
