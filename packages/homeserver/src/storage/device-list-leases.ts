import { sql } from 'kysely'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { isStale, type LedgerRow } from './device-lists.ts'
import { isPostgres } from './dialect.ts'
import { isLeasedIn } from './leases.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

const isUnleased = (now: number) => sql<boolean>`not ${isLeasedIn('lease_until', now)}`

type Claim = { now: number; leaseUntil: number }

const claimDueRow = prepared<Claim & { serverName: ServerName }, LedgerRow>((db, value) => {
  const due = db
    .selectFrom('device_lists')
    .select('user_id')
    .where('server_name', '=', value('serverName'))
    .where(isStale)
    .where('next_attempt_at', '<=', value('now'))
    .where(isUnleased(value('now')))
    .orderBy('next_attempt_at')
    .limit(1)
  const claimable = isPostgres(db) ? due.forUpdate().skipLocked() : due
  return db
    .updateTable('device_lists')
    .set((eb) => ({ lease_until: value('leaseUntil'), lease_gen: eb.ref('wanted_gen') }))
    .where('user_id', '=', claimable)
    .returningAll()
})

/**
 * Claims the list of a server that has been due the longest: whoever holds the lease is the only one who fetches. A
 * lease whose time is over is taken over.
 */
export async function claimDue(db: Db, serverName: ServerName, claim: Claim): Promise<LedgerRow | undefined> {
  return (await claimDueRow(db, { serverName, ...claim })).rows[0]
}

const claimRow = prepared<Claim & { userId: UserId }, LedgerRow>((db, value) =>
  db
    .updateTable('device_lists')
    .set((eb) => ({ lease_until: value('leaseUntil'), lease_gen: eb.ref('wanted_gen') }))
    .where('user_id', '=', value('userId'))
    .where(isStale)
    .where(isUnleased(value('now')))
    .returningAll(),
)

/** Claims one stale list, due or not. @returns `undefined` if it is not stale, or somebody is at it */
export async function claimOne(db: Db, userId: UserId, claim: Claim): Promise<LedgerRow | undefined> {
  return (await claimRow(db, { userId, ...claim })).rows[0]
}

/** A lease as it was claimed; gone when somebody else took the work over. */
export type Lease = { userId: UserId; gen: number; until: number }

const held = (db: Db, lease: Lease) =>
  db
    .updateTable('device_lists')
    .where('user_id', '=', lease.userId)
    .where('lease_gen', '=', lease.gen)
    .where('lease_until', '=', lease.until)

/** Prolongs a lease. @returns whether it was still held */
export async function prolongLease(db: Db, lease: Lease, until: number): Promise<boolean> {
  const result = await held(db, lease).set({ lease_until: until }).executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Ends a lease without an attempt: no request was made, nor is one before a time (epoch ms). */
export async function releaseLease(db: Db, lease: Lease, notBefore: number): Promise<void> {
  // As it is by now: a list that nobody needs any more may have been put off for ever meanwhile.
  const later = sql<number>`case when next_attempt_at < ${notBefore} then ${notBefore} else next_attempt_at end`
  await held(db, lease).set({ lease_until: null, lease_gen: null, next_attempt_at: later }).execute()
}

const endHeldLease = prepared<Lease, LedgerRow>((db, value) =>
  held(db, { userId: value('userId'), gen: value('gen'), until: value('until') })
    .set((eb) => ({ lease_until: null, lease_gen: null, attempts_ended: eb('attempts_ended', '+', 1) }))
    .returningAll(),
)

/**
 * Ends a lease at the end of a fetch, and keeps the row for the rest of the transaction.
 * @returns the row as it is now, or `undefined` if the lease was lost
 */
export async function endLease(db: Db, lease: Lease): Promise<LedgerRow | undefined> {
  return (await endHeldLease(db, lease)).rows[0]
}

/** Writes down that a fetch failed whose lease was ended in this transaction. */
export async function recordFailure(
  db: Db,
  userId: UserId,
  outcome: { error: string; nextAttemptAt: number; refused: boolean },
): Promise<void> {
  await db
    .updateTable('device_lists')
    .where('user_id', '=', userId)
    .set((eb) => ({
      attempts: eb('attempts', '+', 1),
      last_error: outcome.error,
      refused: outcome.refused ? 1 : 0,
      next_attempt_at: outcome.nextAttemptAt,
    }))
    .execute()
}

/** All leases end: for a database that only this process uses, at its start. */
export async function endAllLeases(db: Db): Promise<void> {
  await db
    .updateTable('device_lists')
    .set({ lease_until: null, lease_gen: null })
    .where('lease_until', 'is not', null)
    .execute()
}
