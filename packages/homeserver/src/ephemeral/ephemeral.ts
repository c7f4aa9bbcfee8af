import type { ServerName } from '../matrix/ids.ts'
import { createOutgoing, type Outgoing } from './outgoing.ts'
import type { EphemeralParts } from './ports.ts'
import { createPresence, type Presence } from './presence.ts'
import { createReceipts, type Receipts } from './receipts.ts'
import { createTyping, type Typing } from './typing.ts'

/** What happens in rooms and is no event: who types, who has read what, who is there. */
export type Ephemeral = Omit<Typing, 'receiveTyping' | 'expiry'> &
  Omit<Receipts, 'receiveReceipts'> &
  Omit<Presence, 'receivePresence' | 'timers'> & {
    /** EDUs of other servers, by type. */
    receive: Record<string, (origin: ServerName, contents: readonly unknown[]) => Promise<void>>
    /** For the sender of federation transactions. */
    outgoing: Outgoing['source']
    /** Forgets what is too old to be told. @param now epoch ms */
    cleanUp(now: number): Promise<void>
    start(): void
    stop(): Promise<void>
  }

export function createEphemeral(parts: EphemeralParts): Ephemeral {
  const outgoing = createOutgoing(parts)
  const { receiveTyping, expiry, ...typing } = createTyping(parts, outgoing)
  const { receiveReceipts, ...receipts } = createReceipts(parts, outgoing)
  const { receivePresence, timers, ...presence } = createPresence(parts, outgoing)
  return {
    ...typing,
    ...receipts,
    ...presence,
    receive: { 'm.typing': receiveTyping, 'm.receipt': receiveReceipts, 'm.presence': receivePresence },
    outgoing: outgoing.source,
    cleanUp: outgoing.cleanUp,
    start() {
      expiry.start()
      timers.start()
    },
    async stop() {
      await Promise.all([expiry.stop(), timers.stop()])
    },
  }
}
