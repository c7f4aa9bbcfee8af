import type { EventId, UserId } from '../matrix/ids.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** A client's transaction: device, endpoint with its room, and the ID that the client gave it. */
export type EventTransaction = { userId: UserId; deviceId: string; scope: string; txnId: string }

const selectEvent = prepared<EventTransaction, { event_id: EventId }>((db, value) =>
  db
    .selectFrom('event_transactions')
    .select('event_id')
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId'))
    .where('scope', '=', value('scope'))
    .where('txn_id', '=', value('txnId')),
)

/** The event that this transaction made, if it was here before. */
export async function eventOfTransaction(db: Db, transaction: EventTransaction): Promise<EventId | undefined> {
  return (await selectEvent(db, transaction)).rows[0]?.event_id
}

const insertTransaction = prepared<EventTransaction & { eventId: EventId; now: number }>((db, value) =>
  db.insertInto('event_transactions').values({
    user_id: value('userId'),
    device_id: value('deviceId'),
    scope: value('scope'),
    txn_id: value('txnId'),
    event_id: value('eventId'),
    created_at: value('now'),
  }),
)

export async function noteEventTransaction(
  db: Db,
  transaction: EventTransaction,
  eventId: EventId,
  now: number,
): Promise<void> {
  await insertTransaction(db, { ...transaction, eventId, now })
}

/** The transaction IDs with which one device made some of these events. */
export async function transactionIds(
  db: Db,
  device: { userId: UserId; deviceId: string },
  eventIds: readonly EventId[],
): Promise<Map<EventId, string>> {
  if (eventIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('event_transactions')
    .select(['event_id', 'txn_id'])
    .where('event_id', 'in', eventIds)
    .where('user_id', '=', device.userId)
    .where('device_id', '=', device.deviceId)
    .execute()
  return new Map(rows.map((row) => [row.event_id, row.txn_id]))
}

/** Forgets transactions of before `before` (epoch ms). */
export async function forgetEventTransactions(db: Db, before: number): Promise<void> {
  await db.deleteFrom('event_transactions').where('created_at', '<', before).execute()
}
