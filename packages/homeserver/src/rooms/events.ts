import type { Pdu, RoomEvent } from '../matrix/events.ts'
import type { EventId } from '../matrix/ids.ts'
import { roughSize } from '../matrix/json.ts'
import { createBoundedCache, createSizedCache } from '../platform/bounded-cache.ts'
import { trustedEvent } from '../state/read-event.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { type EventRow, eventRows } from '../storage/events.ts'
import { type Db, type Store, type Tx, whenCertain } from '../storage/store.ts'

/** An event with what was found about it. */
export type KnownEvent = { event: RoomEvent; rejected: boolean }

/** Events as values, for the rules of rooms. What they are parsed to is kept for a while. */
export type Events = {
  /** Those of the events that are known, in or outside of the graph. */
  load(db: Db, version: RoomVersion, eventIds: Iterable<EventId>): Promise<Map<EventId, KnownEvent>>
  /** Keeps what a transaction has written, once it is committed. */
  remember(tx: Tx, known: KnownEvent): void
  /** The same for an event that may have been known otherwise: other processes forget it. */
  replace(tx: Tx, known: KnownEvent): void
}

/** How much is kept of parsed events, by `roughSize`; state events of busy rooms are what stays. */
const KEPT = 6_000_000

/** Begins the key by which processes tell each other that they know an event otherwise. */
const CHANGED = 'event: '
/** Events that other processes changed lately, which a read that began before may have found as they were. */
const LATELY = 1_000

export function createEvents({ notifier }: Pick<Store, 'notifier'>): Events {
  const kept = createSizedCache<EventId, KnownEvent>(KEPT, ({ event }) => roughSize(event.pdu))
  const changed = createBoundedCache<EventId, number>(LATELY)
  let heard = 0
  let forgotten = 0
  notifier.hearOthers((keys) => {
    heard++
    if (!keys) {
      forgotten = heard
      kept.clear()
    }
    for (const key of keys ?? []) {
      if (!key.startsWith(CHANGED)) continue
      const eventId = key.slice(CHANGED.length) as EventId
      changed.set(eventId, heard)
      kept.delete(eventId)
    }
  })
  // What a running transaction has written is known to it alone.
  const written = new WeakMap<Db, Map<EventId, KnownEvent>>()
  function remember(tx: Tx, known: KnownEvent): void {
    const { eventId } = known.event
    const own = written.get(tx.db) ?? new Map<EventId, KnownEvent>()
    written.set(tx.db, own.set(eventId, known))
    tx.afterCommit(() => kept.set(eventId, known))
  }

  return {
    remember,
    replace(tx, known) {
      remember(tx, known)
      tx.wake([CHANGED + known.event.eventId])
    },
    async load(db, version, eventIds) {
      const found = new Map<EventId, KnownEvent>()
      const missing: EventId[] = []
      const own = written.get(db)
      const from = heard
      const stands = (eventId: EventId) => Math.max(changed.get(eventId) ?? 0, forgotten) <= from
      for (const eventId of eventIds) {
        const known = own?.get(eventId) ?? kept.get(eventId)
        if (known) found.set(eventId, known)
        else missing.push(eventId)
      }
      if (missing.length === 0) return found
      for (const row of await eventRows(db, missing)) {
        const known = { event: eventOf(row, version), rejected: row.status === 'rejected' }
        found.set(row.event_id, known)
        whenCertain(db, () => stands(row.event_id) && kept.set(row.event_id, known))
      }
      return found
    },
  }
}

/** The event in a row. */
export function eventOf(row: Pick<EventRow, 'pdu' | 'event_id'>, version: RoomVersion): RoomEvent {
  return trustedEvent(JSON.parse(row.pdu) as Pdu, version, row.event_id)
}
