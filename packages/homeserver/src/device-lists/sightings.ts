import { serverNameOf, type UserId } from '../matrix/ids.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import * as storage from '../storage/device-lists.ts'
import type { Tx } from '../storage/store.ts'
import type { DoubtReason } from './decide.ts'
import { raiseDoubt } from './doubts.ts'
import type { EngineParts } from './ports.ts'
import type { Resync } from './resync.ts'

/** What shows by the way that a list may be wrong. */
export type Sightings = {
  /**
   * A remote user's messages name these devices, or come from Olm sessions of these Curve25519 keys. Part of the transaction that
   * takes the messages in.
   */
  devicesSeen(
    tx: Tx,
    userId: UserId,
    seen: { deviceIds: Iterable<string>; senderKeys: Iterable<string> },
  ): Promise<void>
  /** A remote server had no key to give for these devices of its user. */
  claimOmitted(userId: UserId, deviceIds: readonly string[]): Promise<void>
}

/** What was doubted for and is remembered, so that it is not again while the list stays as it is. */
const REMEMBERED = 20_000

export function createSightings(parts: EngineParts, resync: Pick<Resync, 'wake'>): Sightings {
  const { store, clock } = parts
  // Of this process: another one may doubt a list for the same thing once more.
  const doubted = createBoundedCache<string, true>(REMEMBERED)

  /** Doubts a list for what was seen, once for each version of the list. */
  async function doubt(tx: Tx, row: storage.LedgerRow, seen: readonly string[], reason: DoubtReason): Promise<void> {
    const keys = seen.map((what) => `${row.user_id} ${row.digest} ${reason} ${what}`)
    const fresh = keys.filter((key) => !doubted.has(key))
    if (fresh.length === 0) return
    await raiseDoubt(tx, row.user_id, { reason, now: clock.now(), needed: true })
    tx.afterCommit(() => {
      for (const key of fresh) doubted.set(key, true)
      resync.wake(serverNameOf(row.user_id))
    })
  }

  return {
    async devicesSeen(tx, userId, { deviceIds, senderKeys }) {
      const list = await storage.trackedList(tx.db, userId)
      if (!list) return
      const unknown = [...deviceIds].filter((deviceId) => !listsDevice(list, deviceId))
      for (const key of senderKeys) if (!list.device_keys.includes(JSON.stringify(key))) unknown.push(key)
      if (unknown.length > 0) await doubt(tx, list, unknown, 'unknown device')
    },
    async claimOmitted(userId, deviceIds) {
      await store.transaction(async (tx) => {
        const list = await storage.trackedList(tx.db, userId)
        const listed = list && deviceIds.filter((deviceId) => listsDevice(list, deviceId))
        if (listed && listed.length > 0) await doubt(tx, list, listed, 'claim omitted a device')
      })
    },
  }
}

/** Looked up in the text as `JSON.stringify` made it: parsing a long list for each message would cost more. */
function listsDevice(list: { device_keys: string; keyless: string }, deviceId: string): boolean {
  const name = JSON.stringify(deviceId)
  return list.device_keys.includes(`${name}:{`) || list.keyless.includes(name)
}
