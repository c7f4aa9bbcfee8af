import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { createSlidingWindow } from '../platform/sliding-window.ts'
import { addWaiter } from '../storage/device-list-stream.ts'
import * as storage from '../storage/device-lists.ts'
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
  isAtHand(row: storage.LedgerRow | undefined): boolean
}

/** @param resync does the fetching; the ledger tells how it ends */
export function createRefresh(parts: EngineParts, resync: Pick<Resync, 'fetchNow' | 'wake'>): Refresh {
  const { store, clock, settings, serverName: ownName, transport } = parts
  const perUser = createSlidingWindow(clock, { limit: settings.refreshPerUser, windowMs: 30_000 })
  const perRequester = createSlidingWindow(clock, { limit: settings.refreshPerRequester, windowMs: 60_000 })
  const outgoing = { limit: settings.refreshPerDestination, windowMs: 60_000 }
  const perDestination = createSlidingWindow(clock, outgoing)
  const perAddress = createSlidingWindow(clock, outgoing)
  const insisting = createSlidingWindow(clock, { limit: 1, windowMs: settings.refreshRetryInterval })

  /** @returns 0, or the milliseconds until the requester may ask again */
  function takeTurn(requester: UserId, userId: UserId): number {
    if (!parts.rateLimits) return 0
    const pair = `${requester} ${userId}`
    const wait = Math.max(perUser.wait(pair), perRequester.wait(requester))
    if (wait === 0) {
      perUser.take(pair)
      perRequester.take(requester)
    }
    return wait
  }

  function isCached(row: storage.LedgerRow): boolean {
    const age = clock.now() - (row.synced_at ?? 0)
    return row.wanted_gen === row.synced_gen && age >= 0 && age < settings.refreshCache
  }

  const isLeased = (row: storage.LedgerRow) => (row.lease_until ?? 0) > clock.now()

  /** Makes the wish for a list durable: a doubt, unless one stands already, and who is to be told. */
  function ask(userId: UserId, waiter: UserId | undefined): Promise<{ row: storage.LedgerRow; asked: Asked }> {
    return store.transaction(async (tx) => {
      const now = clock.now()
      const before = await storage.lockedRow(tx.db, userId)
      const fresh = !before || before.wanted_gen === before.synced_gen
      const reason = waiter ? 'refresh' : 'query'
      const needed = waiter !== undefined || before?.tracked === 1
      // A doubt that stands already is answered by a fetch that is in flight or has yet to begin: it covers this wish.
      const row = fresh ? await raiseDoubt(tx, userId, { reason, now, needed }) : before
      // A parked list has had nobody who needs it; from now on there is somebody.
      if (waiter && row.next_attempt_at === storage.PARKED) await storage.expedite(tx.db, userId, now)
      if (waiter) await addWaiter(tx.db, { requester: waiter, userId, now, waiting: true })
      const asked = { userId, serverName: row.server_name, gen: row.wanted_gen, attemptsEnded: row.attempts_ended }
      return { row, asked }
    })
  }

  /** Whether a request may go out for this wish now, by insisting on a server that is backed off or freely. */
  async function mayAsk(serverName: ServerName, insist: boolean): Promise<HeldBack | 'free' | 'insisting'> {
    const { failures, nextAttemptAt, retryAfterUntil } = await transport.backoffOf(serverName)
    const now = clock.now()
    if ((retryAfterUntil ?? 0) > now) return { kind: 'retry-after' }
    const backedOff = failures > 0 && (insist || (nextAttemptAt ?? 0) > now)
    if (backedOff && (!insist || insisting.wait(serverName) > 0)) return { kind: 'backed off' }
    const wait = parts.rateLimits ? perDestination.wait(serverName) : 0
    if (wait > 0) return { kind: 'limited', retryAfterMs: wait }
    return backedOff ? 'insisting' : 'free'
  }

  async function begin(asked: Asked, insist: boolean): Promise<HeldBack | undefined> {
    const state = await mayAsk(asked.serverName, insist)
    if (state !== 'free' && state !== 'insisting') return state
    const admit = (address: string) => !parts.rateLimits || perAddress.take(address) === 0
    const begun = await resync.fetchNow(asked.userId, asked.serverName, { insist, admit })
    if (begun) {
      perDestination.take(asked.serverName)
      if (state === 'insisting') insisting.take(asked.serverName)
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
    const wait = takeTurn(requester, userId)
    if (wait > 0) return { kind: 'limited', retryAfterMs: wait }
    const serverName = serverNameOf(userId)
    const local = serverName === ownName
    if (local && !(await parts.localUserExists(userId))) return { kind: 'unknown local user' }
    if (!local && !transport.isAllowed(serverName)) return { kind: 'denied' }

    const known = local ? undefined : await storage.ledgerRow(store.db, userId)
    if (local || (known && isCached(known))) {
      await store.transaction(async (tx) => {
        if (!local) await addWaiter(tx.db, { requester, userId, now: clock.now(), waiting: false })
        await tellRequesters(tx, [requester], userId)
      })
      return { kind: 'accepted' }
    }

    const { row, asked } = await ask(userId, requester)
    const heldBack = isLeased(row) ? undefined : await begin(asked, true)
    if (heldBack) return refusedNow(row, heldBack)
    const end = await ending(asked, settings.refreshWait)
    if (end === 'here' || end === 'pending') return { kind: 'accepted' }
    return failed(end, JSON.parse(end.last_error!))
  }

  async function refreshForOperator(userId: UserId): Promise<OperatorOutcome> {
    if (!transport.isAllowed(serverNameOf(userId)))
      return { userId, outcome: 'failed', detail: 'denied by the settings' }
    const { row, asked } = await ask(userId, undefined)
    const { retryAfterUntil } = await transport.backoffOf(row.server_name)
    if ((retryAfterUntil ?? 0) > clock.now()) return { userId, outcome: 'failed', detail: 'the server asked to wait' }
    if (!isLeased(row)) await resync.fetchNow(userId, row.server_name, { insist: true })
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
          if (known?.tracked !== 1 && takeTurn(requester, userId) > 0) return
          const { row, asked } = await ask(userId, undefined)
          // A list that failed lately rests until it is due: what is known is the answer for now.
          const rests = row.tracked === 1 && row.next_attempt_at > clock.now()
          if (!isLeased(row) && (rests || (await begin(asked, false)))) return
          if ((await ending(asked, waitMs)) === 'here') here.add(userId)
        }),
      )
      return here
    },
  }
}

/** Why no request goes out for a wish now. */
type HeldBack = { kind: 'retry-after' } | { kind: 'backed off' } | { kind: 'limited'; retryAfterMs: number }
