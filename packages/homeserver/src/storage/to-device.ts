import type { ServerName, UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** A message in a device's inbox; `message` is the event as JSON text. */
export type InboxMessage = { userId: UserId; deviceId: string; message: string }

type OfDevice = { userId: UserId; deviceId: string }

/** Puts messages into inboxes, all at one position of the stream. */
export async function addMessages(db: Db, position: number, messages: readonly InboxMessage[]): Promise<void> {
  const rows = messages.map(({ userId, deviceId, message }) => ({
    position,
    user_id: userId,
    device_id: deviceId,
    message,
  }))
  for (const some of inParts(rows, 500)) {
    await db.insertInto('device_messages').values(some).execute()
  }
}

const selectMessages = prepared<
  OfDevice & { after: number; upTo: number; limit: number },
  { position: number; message: string }
>((db, value) =>
  db
    .selectFrom('device_messages')
    .select(['position', 'message'])
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId'))
    .where('position', '>', value('after'))
    .where('position', '<=', value('upTo'))
    .orderBy('position')
    .orderBy('id')
    .limit(value('limit')),
)

/** The messages of a device after one position and up to another, the oldest first, at most `limit`. */
export async function inboxMessages(
  db: Db,
  device: OfDevice,
  range: { after: number; upTo: number; limit: number },
): Promise<{ position: number; message: string }[]> {
  return (await selectMessages(db, { userId: device.userId, deviceId: device.deviceId, ...range })).rows
}

const deleteMessages = prepared<OfDevice & { upTo: number }>((db, value) =>
  db
    .deleteFrom('device_messages')
    .where('user_id', '=', value('userId'))
    .where('device_id', '=', value('deviceId'))
    .where('position', '<=', value('upTo')),
)

/** Deletes the messages of a device up to a position. */
export async function removeMessages(db: Db, device: OfDevice, upTo: number): Promise<void> {
  await deleteMessages(db, { userId: device.userId, deviceId: device.deviceId, upTo })
}

/** How many messages wait in the inboxes of these users, by user and device. */
export async function inboxSizes(
  db: Db,
  userIds: readonly UserId[],
): Promise<{ user_id: UserId; device_id: string; count: number }[]> {
  if (userIds.length === 0) return []
  const rows = await db
    .selectFrom('device_messages')
    .select(['user_id', 'device_id', (eb) => eb.fn.countAll<number>().as('count')])
    .where('user_id', 'in', userIds)
    .groupBy(['user_id', 'device_id'])
    .execute()
  return rows.map((row) => ({ ...row, count: Number(row.count) }))
}

/** Notes a client's transaction. @returns `false` if it was noted before */
export async function noteTransaction(db: Db, device: OfDevice, txnId: string, now: number): Promise<boolean> {
  const row = await db
    .insertInto('to_device_transactions')
    .values({ user_id: device.userId, device_id: device.deviceId, txn_id: txnId, created_at: now })
    .onConflict((conflict) => conflict.doNothing())
    .returning('txn_id')
    .executeTakeFirst()
  return row !== undefined
}

/** Notes a message of another server. @returns `false` if it was noted before */
export async function noteReceived(db: Db, origin: ServerName, messageId: string, now: number): Promise<boolean> {
  const row = await db
    .insertInto('received_device_messages')
    .values({ origin, message_id: messageId, received_at: now })
    .onConflict((conflict) => conflict.doNothing())
    .returning('message_id')
    .executeTakeFirst()
  return row !== undefined
}

/** Forgets transactions and messages noted before `before` (epoch ms). */
export async function forgetNoted(db: Db, before: number): Promise<void> {
  await db.deleteFrom('to_device_transactions').where('created_at', '<', before).execute()
  await db.deleteFrom('received_device_messages').where('received_at', '<', before).execute()
}

/** Queues contents of `m.direct_to_device`, JSON text each. */
export async function queueMessages(
  db: Db,
  messages: readonly { destination: ServerName; content: string }[],
  now: number,
): Promise<void> {
  if (messages.length === 0) return
  const rows = messages.map(({ destination, content }) => ({ destination, content, created_at: now }))
  await db.insertInto('outgoing_device_messages').values(rows).execute()
}

/** Destinations that a message is queued for. */
export async function queuedMessageDestinations(db: Db): Promise<ServerName[]> {
  const rows = await db.selectFrom('outgoing_device_messages').select('destination').distinct().execute()
  return rows.map((row) => row.destination)
}

/** The oldest queued messages for a destination. */
export async function queuedMessages(
  db: Db,
  destination: ServerName,
  limit: number,
): Promise<{ id: number; content: string }[]> {
  return db
    .selectFrom('outgoing_device_messages')
    .select(['id', 'content'])
    .where('destination', '=', destination)
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Takes messages off the queue. */
export async function removeQueued(db: Db, ids: readonly number[]): Promise<void> {
  await db.deleteFrom('outgoing_device_messages').where('id', 'in', ids).execute()
}
