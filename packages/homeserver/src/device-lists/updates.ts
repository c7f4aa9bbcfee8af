import { isUserId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { createGather } from '../platform/gather.ts'
import { addChanges } from '../storage/device-list-stream.ts'
import * as storage from '../storage/device-lists.ts'
import type { Tx } from '../storage/store.ts'
import { becameIncoherent } from './coherence.ts'
import { applyUpdate, type DeviceListUpdate, type DoubtReason, decide, inChainOrder, readUpdate } from './decide.ts'
import { raiseDoubt } from './doubts.ts'
import { snapshotOf, snapshotRow } from './lists.ts'
import type { EngineParts } from './ports.ts'
import type { Resync } from './resync.ts'
import { digestOf, isCrossSigningKey, type Snapshot } from './snapshot.ts'

/** What one transaction says of one user: updates in order, and whether one of them could not be read. */
type UserUpdates = { updates: DeviceListUpdate[]; malformed: boolean }

/** What an update did: whether clients see a difference, and why the list is to be fetched again. */
type Outcome = { changed?: boolean; doubt?: DoubtReason }

/** What one transaction carries of one type. */
type Received = { origin: ServerName; contents: readonly unknown[] }

/** So many updates are written in one database transaction at the most, unless one server sends more at once. */
const WRITTEN_TOGETHER = 100

export type Updates = {
  /**
   * All `m.device_list_update` of one transaction. Returns when what they say, or the doubt that they raise, is
   * durable; no request is waited for. Server-server API, "Device Management".
   */
  receiveDeviceListUpdates(origin: ServerName, contents: readonly unknown[]): Promise<void>
  /** All `m.signing_key_update` of one transaction; the same promise. */
  receiveSigningKeyUpdates(origin: ServerName, contents: readonly unknown[]): Promise<void>
}

/** Handles what other servers tell of their users' lists. */
export function createUpdates(parts: EngineParts, resync: Pick<Resync, 'wake'>): Updates {
  const { store, clock, log, settings, sharedRooms } = parts

  /** Runs `handle` on the users' ledger rows and lists, locked; then tells whoever shares a room with the changed. */
  async function withLists(
    userIds: readonly UserId[],
    handle: (tx: Tx, row: storage.LedgerRow, list: Snapshot | undefined) => Promise<Outcome>,
  ): Promise<void> {
    if (userIds.length === 0) return
    await store.transaction(async (tx) => {
      const rows = await storage.lockedRows(tx.db, userIds)
      const lists = await storage.snapshotRows(tx.db, [...rows.keys()])
      const changed: UserId[] = []
      const doubted = new Set<ServerName>()
      for (const [userId, row] of rows) {
        const list = lists.get(userId)
        const known = list && row.stream_id !== null ? snapshotOf(list, row.stream_id) : undefined
        const outcome = await handle(tx, row, known)
        if (outcome.changed) changed.push(userId)
        if (outcome.doubt) {
          await raiseDoubt(tx, userId, { reason: outcome.doubt, now: clock.now(), needed: row.tracked === 1 })
          log.debug({ userId, reason: outcome.doubt }, 'a device list is in doubt')
          doubted.add(row.server_name)
        }
      }
      if (changed.length > 0) {
        tx.wake(await sharedRooms.wakeKeys(tx.db, changed))
        await addChanges(tx.db, await tx.position(), changed)
      }
      tx.afterCommit(() => {
        for (const server of doubted) resync.wake(server)
      })
    })
  }

  /** Writes a changed list, unless it cannot be written down. A new name is a change, too: it was told for its own sake. */
  async function save(tx: Tx, row: storage.LedgerRow, before: Snapshot | undefined, list: Snapshot): Promise<Outcome> {
    const digest = digestOf(list)
    if (digest === undefined) return { doubt: 'malformed update' }
    const devices = list.deviceKeys.size + list.keyless.length
    await storage.saveSnapshot(tx.db, snapshotRow(row.user_id, list))
    await storage.recordUpdated(tx.db, row.user_id, { streamId: list.streamId, digest, devices, now: clock.now() })
    const changed = digest !== row.digest || namesIn(list) !== namesIn(before)
    return becameIncoherent(row.user_id, before, list) ? { changed, doubt: 'incoherent' } : { changed }
  }

  async function applyAll(
    tx: Tx,
    row: storage.LedgerRow,
    before: Snapshot | undefined,
    said: UserUpdates,
  ): Promise<Outcome> {
    // Nobody shares a room: the list is only cached, and the cache is no longer right.
    if (row.tracked === 0) return { doubt: 'gap' }
    let list = before
    let doubt: DoubtReason | undefined = said.malformed ? 'malformed update' : undefined
    for (const update of said.updates) {
      const decision = decide(list, update)
      if (decision.kind === 'apply') list = applyUpdate(list!, update)
      if (decision.kind === 'doubt') doubt ??= decision.reason
    }
    const outcome = list && list !== before ? await save(tx, row, before, list) : {}
    return doubt ? { ...outcome, doubt } : outcome
  }

  async function takeDeviceListUpdates(received: readonly Received[]): Promise<void> {
    const byUser = new Map<UserId, UserUpdates>()
    for (const [userId, content] of contentsByUser(received)) {
      const said = byUser.get(userId) ?? { updates: [], malformed: false }
      const update = readUpdate(content, userId, settings.keepDisplayNames)
      if (typeof update === 'string') said.malformed = true
      else said.updates.push(update)
      byUser.set(userId, said)
    }
    for (const said of byUser.values()) said.updates = inChainOrder(said.updates)
    await withLists([...byUser.keys()], (tx, row, list) => applyAll(tx, row, list, byUser.get(row.user_id)!))
  }

  async function takeSigningKeyUpdates(received: readonly Received[]): Promise<void> {
    // The last one counts where there are several.
    const byUser = new Map(contentsByUser(received))
    await withLists([...byUser.keys()], async (tx, row, list) => {
      const keys = readSigningKeys(byUser.get(row.user_id)!, row.user_id)
      if (row.tracked === 0 || !list || !keys) return { doubt: keys ? 'no list yet' : 'malformed update' }
      const outcome = await save(tx, row, list, { ...list, ...keys })
      // A snapshot in flight may be older than these keys and has nothing to tell it by.
      return row.lease_until === null ? outcome : { doubt: 'update during fetch', ...outcome }
    })
  }

  /** Of all that came: what is for a user of the server that sent it. */
  function* contentsByUser(received: readonly Received[]): Generator<[UserId, Record<string, unknown>]> {
    for (const { origin, contents } of received) {
      for (const content of contents) {
        const userId = userOf(origin, content)
        if (userId) yield [userId, content as Record<string, unknown>]
      }
    }
  }

  function userOf(origin: ServerName, content: unknown): UserId | undefined {
    const userId = isObject(content) ? content.user_id : undefined
    if (isUserId(userId) && serverNameOf(userId) === origin) return userId
    log.debug({ origin }, 'ignored an update that is not for a user of its origin')
    return undefined
  }
  // A commit costs more than an update: what many servers send at the same time is written together.
  const limits = { sizeOf: ({ contents }: Received) => contents.length, most: WRITTEN_TOGETHER }
  const deviceListUpdates = createGather(takeDeviceListUpdates, limits)
  const signingKeyUpdates = createGather(takeSigningKeyUpdates, limits)
  return {
    receiveDeviceListUpdates: (origin, contents) => deviceListUpdates({ origin, contents }),
    receiveSigningKeyUpdates: (origin, contents) => signingKeyUpdates({ origin, contents }),
  }
}

/** What the devices are called, as text to compare. */
function namesIn(list: Snapshot | undefined): string {
  return JSON.stringify(
    [...(list?.deviceKeys ?? [])].map(([deviceId, { unsigned }]) => [deviceId, unsigned]).toSorted(),
  )
}

/** The keys that an `m.signing_key_update` carries; one that is left out stays as it is. */
function readSigningKeys(
  content: Record<string, unknown>,
  userId: UserId,
): Partial<Pick<Snapshot, 'masterKey' | 'selfSigningKey'>> | undefined {
  const { master_key: masterKey, self_signing_key: selfSigningKey } = content
  const keys: Partial<Pick<Snapshot, 'masterKey' | 'selfSigningKey'>> = {}
  if (masterKey !== undefined && masterKey !== null) {
    if (!isCrossSigningKey(masterKey, userId, 'master')) return undefined
    keys.masterKey = masterKey
  }
  if (selfSigningKey !== undefined && selfSigningKey !== null) {
    if (!isCrossSigningKey(selfSigningKey, userId, 'self_signing')) return undefined
    keys.selfSigningKey = selfSigningKey
  }
  return Object.keys(keys).length > 0 ? keys : undefined
}
