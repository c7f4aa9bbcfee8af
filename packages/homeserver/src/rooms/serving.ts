import { forbidden, notFound } from '../matrix/errors.ts'
import type { EventId, RoomId, ServerName } from '../matrix/ids.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { authChainOf, withAuthChain } from '../storage/event-graph.ts'
import { eventsNearTime } from '../storage/event-pages.ts'
import { type EventRow, eventRow, eventRows } from '../storage/events.ts'
import { hasMemberOf } from '../storage/room-population.ts'
import { eventOf } from './events.ts'
import type { RoomParts } from './ports.ts'
import type { ServerAcl } from './server-acl.ts'
import { pdusFor } from './server-visibility.ts'
import { walkBack } from './walk-back.ts'

/** What is asked between two sets of events. Server-server API, "POST /get_missing_events/{roomId}". */
type MissingQuery = { earliest: readonly EventId[]; latest: readonly EventId[]; limit: number; minDepth: number }

/**
 * What other servers may ask of rooms. All of it is for servers that have a user in the room and that the room's access
 * control list does not deny. @throws 403 `M_FORBIDDEN`, 404 `M_NOT_FOUND`
 */
export type Serving = {
  /** One event, as JSON text. */
  event(server: ServerName, eventId: EventId): Promise<string>
  /** IDs of the state before an event, and of all that authorizes it. */
  stateIds(server: ServerName, roomId: RoomId, eventId: EventId): Promise<{ state: EventId[]; authChain: EventId[] }>
  /** The same as events, as JSON texts. */
  state(server: ServerName, roomId: RoomId, eventId: EventId): Promise<{ state: string[]; authChain: string[] }>
  /** What authorizes an event, as JSON texts. */
  authChain(server: ServerName, roomId: RoomId, eventId: EventId): Promise<string[]>
  /** Events and what they follow, as JSON texts. */
  backfill(server: ServerName, roomId: RoomId, from: readonly EventId[], limit: number): Promise<string[]>
  /** The same between some events and others, both left out, the oldest first. */
  missing(server: ServerName, roomId: RoomId, query: MissingQuery): Promise<string[]>
  /** The event nearest to a time (epoch ms), at or after it, or at or before it. */
  nearTime(
    server: ServerName,
    roomId: RoomId,
    query: { ts: number; dir: 'f' | 'b' },
  ): Promise<{ event_id: EventId; origin_server_ts: number }>
}

/** The most events of one answer. */
const MAX_BACKFILL = 100
const MAX_MISSING = 50

export function createServing(parts: RoomParts, acl: ServerAcl): Serving {
  const { store, versions } = parts

  /** @throws unless the server may ask about the room */
  async function enter(server: ServerName, roomId: RoomId): Promise<{ roomId: RoomId; version: RoomVersion }> {
    const version = (await versions.load(store.db, [roomId])).get(roomId)
    if (!version) throw notFound('This room is not known here')
    if (await acl.denies(roomId, server)) throw forbidden('Your server is denied access to the room')
    if (!(await hasMemberOf(store.db, roomId, server))) throw forbidden('Your server is not in the room')
    return { roomId, version }
  }

  async function rowIn(roomId: RoomId, eventId: EventId): Promise<EventRow> {
    const row = await eventRow(store.db, eventId)
    if (row?.room_id !== roomId) throw notFound('No such event in this room')
    return row
  }

  async function stateIds(server: ServerName, roomId: RoomId, eventId: EventId) {
    await enter(server, roomId)
    const row = await rowIn(roomId, eventId)
    if (row.position === null || row.status === 'rejected') throw notFound('The state at this event is not known here')
    const map = row.state_before === null ? new Map() : (await parts.states.load(store.db, row.state_before)).map
    const state = [...map.values()] as EventId[]
    return { state, authChain: await authChainOf(store.db, state) }
  }

  /** As JSON texts, in the order of the IDs. State is never hidden: without it nothing could be authorized. */
  async function textsOf(eventIds: readonly EventId[]): Promise<Map<EventId, string>> {
    return new Map((await eventRows(store.db, eventIds)).map((row) => [row.event_id, row.pdu]))
  }
  const among = (texts: ReadonlyMap<EventId, string>, ids: readonly EventId[]) =>
    ids.flatMap((id) => texts.get(id) ?? [])

  return {
    stateIds,
    async event(server, eventId) {
      const row = await eventRow(store.db, eventId)
      if (!row) throw notFound('No such event here')
      const room = await enter(server, row.room_id)
      const [text] = await pdusFor(parts, room, server, [row])
      return text!
    },
    async state(server, roomId, eventId) {
      const ids = await stateIds(server, roomId, eventId)
      const texts = await textsOf([...new Set([...ids.state, ...ids.authChain])])
      return { state: among(texts, ids.state), authChain: among(texts, ids.authChain) }
    },
    async authChain(server, roomId, eventId) {
      const { version } = await enter(server, roomId)
      const event = eventOf(await rowIn(roomId, eventId), version)
      const chain = await withAuthChain(store.db, event.authEvents)
      return among(await textsOf(chain), chain)
    },
    async backfill(server, roomId, from, limit) {
      const room = await enter(server, roomId)
      const rows = await walkBack(store.db, room, from, { limit: Math.min(limit, MAX_BACKFILL) })
      return pdusFor(parts, room, server, rows)
    },
    async missing(server, roomId, { earliest, latest, limit, minDepth }) {
      const room = await enter(server, roomId)
      const starts = (await eventRows(store.db, latest)).filter((row) => row.room_id === roomId)
      const from = starts.flatMap((row) => eventOf(row, room.version).prevEvents)
      const stop = new Set([...earliest, ...latest])
      const rows = await walkBack(store.db, room, from, { limit: Math.min(limit, MAX_MISSING), stop, minDepth })
      return pdusFor(
        parts,
        room,
        server,
        rows.sort((a, b) => a.depth - b.depth),
      )
    },
    async nearTime(server, roomId, query) {
      await enter(server, roomId)
      const [nearest] = await eventsNearTime(store.db, roomId, { ...query, limit: 1 })
      if (!nearest) throw notFound(`There is no event ${query.dir === 'f' ? 'after' : 'before'} this time`)
      return { event_id: nearest.event_id, origin_server_ts: nearest.origin_server_ts }
    },
  }
}
