import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { addWaiter } from '../storage/device-list-stream.ts'
import * as waits from '../storage/device-list-waits.ts'
import * as storage from '../storage/device-lists.ts'
import { isLeased } from '../storage/leases.ts'
import { sharedWindows } from '../storage/shared-limits.ts'
import type { Tx } from '../storage/store.ts'
import { raiseDoubt } from './doubts.ts'
import type { FetchFailure } from './failure.ts'
import { attemptEnded, tellRequesters } from './lists.ts'
import type { EngineParts } from './ports.ts'
import type { Resync } from './resync.ts'

/** What a request for a refresh comes to; `http/client-api/device-list-refresh.ts` makes the answer of it. */
export type RefreshOutcome =
  /** The list is here, or the fetch goes on: 202 either way, and `/sync` tells. */
  | { kind: 'accepted' }
  | { kind: 'unknown local user' }
  | { kind: 'denied' }
  /** Too many requests, by our own bounds. */
  | { kind: 'limited'; retryAfterMs: number }
  /** The remote failed; a retry is in the database. `retryAfterMs`: until it is due. */
  | { kind: 'failed'; failure: FetchFailure; serverName: ServerName; retryAfterMs: number }

/** What an operator's refresh of one list came to. */
export type OperatorOutcome = { userId: UserId; outcome: 'fresh' | 'pending' | 'failed'; detail?: string }

/** How the answer to an ask stands. */
type Asked = { userId: UserId; serverName: ServerName; gen: number; attemptsEnded: number }

/** A wish that is in the database, with the ledger row as it was then. */
type Wish = { row: storage.LedgerRow; asked: Asked }

export type Refresh = {
  /**
   * Fetches a user's list because a client asks for it (MSC2638), and waits a little for the outcome.
   * The requester is told through `/sync` when the list is here, however long that takes.
   */
  refresh(requester: UserId, userId: UserId): Promise<RefreshOutcome>
  /**
   * Fetches lists that a `/keys/query` needs and that are not at hand; waits until they are, or `waitMs` is over.
   * Users with whom no room is shared count as refreshes do.
   * @returns whose lists are here
   */
  obtain(requester: UserId, userIds: readonly UserId[], waitMs: number): Promise<ReadonlySet<UserId>>
  /** Fetches these lists again because an operator asks, as insistently as for a person, and outside of their bounds. */
  refreshByOperator(userIds: readonly UserId[]): Promise<OperatorOutcome[]>
  /** Whether the list in this row may be used without asking. */
  isAtHand(row: storage.ListState | undefined): boolean
}

/** @param resync does the fetching; the ledger tells how it ends */
export function createRefresh(parts: EngineParts, resync: Pick<Resync, 'fetchNow' | 'wake'>): Refresh {
  const { store, clock, settings, serverName: ownName, transport } = parts
  const limits = sharedWindows(store, clock, {
    'refresh of user': { limit: settings.refreshPerUser, windowMs: 30_000 },
    'refresh by requester': { limit: settings.refreshPerRequester, windowMs: 60_000 },
    'refresh at destination': { limit: settings.refreshPerDestination, windowMs: 60_000 },
    'refresh at address': { limit: settings.refreshPerDestination, windowMs: 60_000 },
    'insisting on destination': { limit: 1, windowMs: settings.refreshRetryInterval },
  })

  /** @returns 0, or the milliseconds until the requester may ask again */
  async function takeTurn(requester: UserId, userId: UserId): Promise<number> {
    if (!parts.rateLimits) return 0
    return limits.take({ 'refresh of user': `${requester} ${userId}`, 'refresh by requester': requester })
  }

  function isCached(row: storage.ListState): boolean {
    const age = clock.now() - (row.synced_at ?? 0)
    return row.wanted_gen === row.synced_gen && age >= 0 && age < settings.refreshCache
  }

  /** Answers a wish from the short-lived cache, and tells who is to be told; else makes it durable. */
  function askOrFind(userId: UserId, waiter: UserId | undefined): Promise<Wish | 'cached'> {
    return store.transaction(async (tx) => {
      // Looked at under the lock: a fetch that was in flight when the wish came may have ended since.
      const before = await storage.lockedRow(tx.db, userId)
      if (!before || !isCached(before)) return wish(tx, userId, before, waiter)
      if (waiter) {
        await addWaiter(tx.db, { requester: waiter, userId, now: clock.now(), waiting: false })
        await tellRequesters(tx, [waiter], userId)
      }
      return 'cached'
    })
  }

  /** Makes the wish for a list durable: a doubt, unless one stands already, and who is to be told. */
  async function wish(
    tx: Tx,
    userId: UserId,
    before: storage.LedgerRow | undefined,
    waiter: UserId | undefined,
  ): Promise<Wish> {
    const now = clock.now()
    const fresh = !before || before.wanted_gen === before.synced_gen
    const reason = waiter ? 'refresh' : 'query'
    const needed = waiter !== undefined || before?.tracked === 1
    // A doubt that stands already is answered by a fetch that is in flight or has yet to begin: it covers this wish.
    const row = fresh ? await raiseDoubt(tx, userId, { reason, now, needed }) : before
    // A parked list has had nobody who needs it; from now on there is somebody.
    if (waiter && row.next_attempt_at === storage.PARKED) await waits.expedite(tx.db, userId, now)
    if (waiter) await addWaiter(tx.db, { requester: waiter, userId, now, waiting: true })
    const asked = { userId, serverName: row.server_name, gen: row.wanted_gen, attemptsEnded: row.attempts_ended }
    return { row, asked }
  }

  /** Whether a request may go out for this wish now, by insisting on a server that is backed off or freely. */
  async function mayAsk(serverName: ServerName, insist: boolean): Promise<HeldBack | 'free' | 'insisting'> {
    const { failures, nextAttemptAt, retryAfterUntil } = await transport.backoffOf(serverName)
    const now = clock.now()
    if ((retryAfterUntil ?? 0) > now) return { kind: 'retry-after' }
    const backedOff = failures > 0 && (insist || (nextAttemptAt ?? 0) > now)
    if (backedOff && (!insist || (await limits.wait({ 'insisting on destination': serverName })) > 0))
      return { kind: 'backed off' }
    const wait = parts.rateLimits ? await limits.wait({ 'refresh at destination': serverName }) : 0
    if (wait > 0) return { kind: 'limited', retryAfterMs: wait }
    return backedOff ? 'insisting' : 'free'
  }

  async function begin(asked: Asked, insist: boolean): Promise<HeldBack | undefined> {
    const state = await mayAsk(asked.serverName, insist)
    if (state !== 'free' && state !== 'insisting') return state
    const admit = async (address: string) =>
      !parts.rateLimits || (await limits.take({ 'refresh at address': address })) === 0
    const begun = await resync.fetchNow(asked.userId, asked.serverName, { insist, admit })
    if (begun) {
      if (parts.rateLimits) await limits.take({ 'refresh at destination': asked.serverName })
      if (state === 'insisting') await limits.take({ 'insisting on destination': asked.serverName })
    }
    return undefined
  }

  /** Waits until the ledger says how the ask ended. @returns the row if it failed */
  async function ending(asked: Asked, waitMs: number): Promise<'here' | 'pending' | storage.LedgerRow> {
    const deadline = clock.now() + waitMs
    for (;;) {
      const woken = Promise.withResolvers<void>()
      const unsubscribe = store.notifier.subscribe(attemptEnded(asked.userId), woken.resolve)
      const cancel = clock.after(deadline - clock.now(), woken.resolve)
      try {
        const row = await storage.ledgerRow(store.db, asked.userId)
        if (!row) return 'pending'
        if (row.synced_gen >= asked.gen) return 'here'
        if (row.attempts_ended > asked.attemptsEnded && row.last_error) return row
        if (clock.now() >= deadline) return 'pending'
        await woken.promise
      } finally {
        unsubscribe()
        cancel()
      }
    }
  }

  async function failed(row: storage.LedgerRow, failure: FetchFailure): Promise<RefreshOutcome> {
    const now = clock.now()
    const { nextAttemptAt, retryAfterUntil } = await transport.backoffOf(row.server_name)
    const next = Math.max(row.next_attempt_at, nextAttemptAt ?? 0, retryAfterUntil ?? 0)
    return { kind: 'failed', failure, serverName: row.server_name, retryAfterMs: Math.max(0, next - now) }
  }

  /** What is answered when no request may go out: the last error again. */
  async function refusedNow(row: storage.LedgerRow, heldBack: HeldBack): Promise<RefreshOutcome> {
    // Now that somebody waits, the worker has to know when this list is due.
    resync.wake(row.server_name)
    if (heldBack.kind === 'limited') return heldBack
    const known: FetchFailure | undefined = row.last_error ? JSON.parse(row.last_error) : undefined
    const { lastError } = await transport.backoffOf(row.server_name)
    const detail = lastError ?? 'the destination is backed off'
    const byServer = heldBack.kind === 'retry-after' ? 'limited' : detail.startsWith('timeout') ? 'timeout' : 'down'
    const ofServer = { kind: byServer, status: null, errcode: null, message: null, detail, at: clock.now() } as const
    return failed(row, known ?? ofServer)
  }

  async function refresh(requester: UserId, userId: UserId): Promise<RefreshOutcome> {
    const wait = await takeTurn(requester, userId)
    if (wait > 0) return { kind: 'limited', retryAfterMs: wait }
    const serverName = serverNameOf(userId)
    const local = serverName === ownName
    if (local && !(await parts.localUserExists(userId))) return { kind: 'unknown local user' }
    if (!local && !transport.isAllowed(serverName)) return { kind: 'denied' }

    if (local) {
      await store.transaction((tx) => tellRequesters(tx, [requester], userId))
      return { kind: 'accepted' }
    }

    const found = await askOrFind(userId, requester)
    if (found === 'cached') return { kind: 'accepted' }
    const { row, asked } = found
    const heldBack = isLeased(row.lease_until, clock.now()) ? undefined : await begin(asked, true)
    if (heldBack) return refusedNow(row, heldBack)
    const end = await ending(asked, settings.refreshWait)
    if (end === 'here' || end === 'pending') return { kind: 'accepted' }
    return failed(end, JSON.parse(end.last_error!))
  }

  async function refreshForOperator(userId: UserId): Promise<OperatorOutcome> {
    if (!transport.isAllowed(serverNameOf(userId)))
      return { userId, outcome: 'failed', detail: 'denied by the settings' }
    const { row, asked } = await store.transaction(async (tx) =>
      wish(tx, userId, await storage.lockedRow(tx.db, userId), undefined),
    )
    const { retryAfterUntil } = await transport.backoffOf(row.server_name)
    if ((retryAfterUntil ?? 0) > clock.now()) return { userId, outcome: 'failed', detail: 'the server asked to wait' }
    if (!isLeased(row.lease_until, clock.now())) await resync.fetchNow(userId, row.server_name, { insist: true })
    const end = await ending(asked, settings.fetchTimeout)
    if (end === 'here') return { userId, outcome: 'fresh' }
    if (end === 'pending') return { userId, outcome: 'pending' }
    return { userId, outcome: 'failed', detail: (JSON.parse(end.last_error!) as FetchFailure).detail }
  }

  return {
    refresh,
    refreshByOperator: (userIds) => Promise.all(userIds.map(refreshForOperator)),
    isAtHand: (row) => row !== undefined && row.wanted_gen === row.synced_gen && (row.tracked === 1 || isCached(row)),
    async obtain(requester, userIds, waitMs) {
      const wanted = userIds.filter((userId) => transport.isAllowed(serverNameOf(userId)))
      const rows = await storage.ledgerRows(store.db, wanted)
      const here = new Set<UserId>()
      await Promise.all(
        wanted.map(async (userId) => {
          const known = rows.get(userId)
          if (known?.tracked !== 1 && (await takeTurn(requester, userId)) > 0) return
          const found = await askOrFind(userId, undefined)
          if (found === 'cached') return void here.add(userId)
          const { row, asked } = found
          // A list that failed lately rests until it is due: what is known is the answer for now.
          const rests = row.tracked === 1 && row.next_attempt_at > clock.now()
          if (!isLeased(row.lease_until, clock.now()) && (rests || (await begin(asked, false)))) return
          if ((await ending(asked, waitMs)) === 'here') here.add(userId)
        }),
      )
      return here
    },
  }
}

/** Why no request goes out for a wish now. */
type HeldBack = { kind: 'retry-after' } | { kind: 'backed off' } | { kind: 'limited'; retryAfterMs: number }
