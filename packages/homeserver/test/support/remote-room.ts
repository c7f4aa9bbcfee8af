import { type Pdu, type RoomEvent, stateEntry } from '../../src/matrix/events.ts'
import type { EventId, RoomId, ServerName, UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import type { SigningKey } from '../../src/matrix/signing.ts'
import type { Clock } from '../../src/platform/clock.ts'
import { authEventKeys } from '../../src/state/auth-events.ts'
import { buildEvent } from '../../src/state/build-event.ts'
import { readEvent } from '../../src/state/read-event.ts'
import { type RoomVersion, roomVersion } from '../../src/state/room-versions.ts'

/** What a remote user says; where it stands is as the room is, unless it is said here. */
export type RemoteDraft = {
  type: string
  sender: string
  content: JsonObject
  stateKey?: string
  redacts?: string
  prevEvents?: readonly string[]
  authEvents?: readonly string[]
  depth?: number
  originServerTs?: number
}

/** A room as a scripted remote has it. It believes whatever is put into it. */
export type RemoteRoom = {
  readonly roomId: RoomId
  readonly version: RoomVersion
  readonly events: ReadonlyMap<string, RoomEvent>
  /** The state now. */
  readonly state: ReadonlyMap<string, RoomEvent>
  readonly heads: readonly EventId[]
  stateBefore(eventId: string): ReadonlyMap<string, RoomEvent>
  authChain(events: Iterable<RoomEvent>): RoomEvent[]
  /** Events before these ones, themselves excepted, the nearest first. */
  before(eventIds: readonly string[], stop: readonly string[], limit: number): RoomEvent[]
  /** A signed event; nobody hears of it yet. */
  make(draft: RemoteDraft): RoomEvent
  /** Puts an event into the graph; it is the only one at the end then, unless it is said to be beside it. */
  add(event: RoomEvent, where?: 'end' | 'beside'): RoomEvent
  /** `make` and `add`. */
  say(draft: RemoteDraft): RoomEvent
}

type RemoteState = ReadonlyMap<string, RoomEvent>

/** @param known all events of the room so far, each behind those that it follows */
export function createRemoteRoom(parts: {
  roomId: string
  versionId: string
  serverName: string
  clock: Clock
  key(): SigningKey
  known: readonly object[]
}): RemoteRoom {
  const { serverName, clock, key } = parts
  const roomId = parts.roomId as RoomId
  const version = roomVersion(parts.versionId)!
  const events = new Map<string, RoomEvent>()
  const before = new Map<string, RemoteState>()
  const after = new Map<string, RemoteState>()
  let heads: EventId[] = []
  let made = 0

  function stateAfter(eventIds: readonly string[]): RemoteState {
    return new Map(eventIds.flatMap((id) => [...(after.get(id) ?? [])]))
  }

  function add(event: RoomEvent, where: 'end' | 'beside' = 'end'): RoomEvent {
    const state = stateAfter(event.prevEvents)
    events.set(event.eventId, event)
    before.set(event.eventId, state)
    const entry = stateEntry(event.type, event.stateKey ?? '')
    after.set(event.eventId, event.stateKey === undefined ? state : new Map([...state, [entry, event]]))
    if (where === 'end') heads = [event.eventId]
    return event
  }

  function make(draft: RemoteDraft): RoomEvent {
    const { type, content, stateKey, redacts, prevEvents = heads } = draft
    const sender = draft.sender as UserId
    const state = stateAfter(prevEvents)
    const entries = authEventKeys({ type, sender, stateKey, content }, version).map(([of, at]) => stateEntry(of, at))
    const auth = draft.authEvents ?? [...new Set(entries.flatMap((entry) => state.get(entry)?.eventId ?? []))]
    const depth = draft.depth ?? Math.max(0, ...prevEvents.map((id) => events.get(id)?.depth ?? 0)) + 1
    const built = buildEvent(
      {
        roomId,
        type,
        stateKey,
        sender,
        content,
        redacts: redacts as EventId | undefined,
        prevEvents: prevEvents as EventId[],
        authEvents: auth as EventId[],
        depth,
        originServerTs: draft.originServerTs ?? clock.now(),
        eventId: `$made${made++}:${serverName}` as EventId,
        referenceHashOf: () => 'AAAA',
      },
      version,
      serverName as ServerName,
      key(),
    )
    if ('invalid' in built) throw new Error(`the test makes no event: ${built.invalid}`)
    return built
  }

  for (const pdu of parts.known) {
    const event = readEvent(pdu as Pdu, version)
    if ('invalid' in event) throw new Error(event.invalid)
    add(event)
  }

  return {
    roomId,
    version,
    events,
    get state() {
      return stateAfter(heads)
    },
    get heads() {
      return heads
    },
    stateBefore: (eventId) => before.get(eventId) ?? new Map(),
    authChain(from) {
      const chain = new Map<string, RoomEvent>()
      const queue = [...from].flatMap((event) => event.authEvents)
      for (const id of queue) {
        const event = events.get(id)
        if (!event || chain.has(id)) continue
        chain.set(id, event)
        queue.push(...event.authEvents)
      }
      return [...chain.values()]
    },
    before(eventIds, stop, limit) {
      const found = new Map<string, RoomEvent>()
      const queue = eventIds.flatMap((id) => events.get(id)?.prevEvents ?? [])
      for (const id of queue) {
        const event = events.get(id)
        if (found.size >= limit) break
        if (!event || found.has(id) || stop.includes(id)) continue
        found.set(id, event)
        queue.push(...event.prevEvents)
      }
      return [...found.values()]
    },
    make,
    add,
    say: (draft) => add(make(draft)),
  }
}
