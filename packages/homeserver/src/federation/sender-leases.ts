import type { ServerName } from '../matrix/ids.ts'
import { claimDestination, releaseDestination } from '../storage/sender-leases.ts'
import type { Store } from '../storage/store.ts'

/** Which of several processes of this server sends to a destination. */
export type SenderLeases = {
  /** Takes or prolongs it. Times in epoch ms. @returns whether this process has it */
  take(destination: ServerName, now: number, until: number): Promise<boolean>
  giveBack(destination: ServerName): Promise<void>
}

/** @param holder names this process. On SQLite there is no other one. */
export function createSenderLeases(store: Store, holder: string): SenderLeases {
  if (store.dialect === 'sqlite') return { take: async () => true, giveBack: async () => {} }
  const held = new Set<ServerName>()
  return {
    async take(destination, now, until) {
      const has = await claimDestination(store.db, { destination, holder, until }, now)
      if (has) held.add(destination)
      return has
    },
    async giveBack(destination) {
      if (held.delete(destination)) await releaseDestination(store.db, destination, holder)
    },
  }
}
