import type { ServerName } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import {
  dequeueEvents,
  destinationsFarBehind,
  destinationsOwedEvents,
  dropAllButNewest,
  queuedEvents,
} from '../storage/outgoing-events.ts'
import type { Tx } from '../storage/store.ts'
import type { RoomParts } from './ports.ts'

/** What other servers are owed of rooms. `append` puts it into the queues; the sender takes it from here. */
export type OutgoingEvents = {
  destinations(): Promise<ServerName[]>
  /** The next events for a destination, each room's in order; `id` is the same for the same events. */
  take(
    destination: ServerName,
    limit: number,
  ): Promise<{ id: string; pdus: JsonObject[]; delivered(tx: Tx): Promise<void> }>
  /**
   * Cuts the queues of servers that have been away for long: of each room the newest event is left, by which they see
   * what they have missed and ask for it.
   */
  cleanUp(): Promise<void>
}

/** A server that is owed more events than this has them cut. */
const MAX_QUEUED = 500

export function createOutgoingEvents({ store }: Pick<RoomParts, 'store'>): OutgoingEvents {
  return {
    destinations: () => destinationsOwedEvents(store.db),
    async take(destination, limit) {
      const rows = await queuedEvents(store.db, destination, limit)
      const gone = rows.filter(({ pdu }) => pdu === null).map(({ position }) => position)
      await dequeueEvents(store.db, destination, gone)
      const queued = rows.flatMap(({ position, pdu }) => (pdu === null ? [] : [{ position, pdu }]))
      const positions = queued.map(({ position }) => position)
      return {
        id: positions.join(),
        pdus: queued.map(({ pdu }) => JSON.parse(pdu)),
        delivered: (tx) => dequeueEvents(tx.db, destination, positions),
      }
    },
    async cleanUp() {
      for (const destination of await destinationsFarBehind(store.db, MAX_QUEUED)) {
        await dropAllButNewest(store.db, destination)
      }
    },
  }
}
