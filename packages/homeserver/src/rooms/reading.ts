import type { EventId, RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { RoomEventFilter } from '../matrix/room-event-filter.ts'
import type { ClientEvent } from './client-event.ts'
import { type ContextResponse, eventContext, oneEvent } from './context.ts'
import { type EventElsewhere, eventNearTime, type NearEvent, type TimeQuery } from './event-near-time.ts'
import { type Backfill, type MessagesQuery, type MessagesResponse, messages } from './messages.ts'
import type { RoomParts } from './ports.ts'
import { type RelationsQuery, type RelationsResponse, relations, type ThreadsQuery, threads } from './related-events.ts'
import { type JoinedMembers, joinedMembers, type MembersQuery, members, roomState, stateEvent } from './room-states.ts'
import { type SearchQuery, type SearchResponse, search } from './search.ts'
import { someEvents } from './some-events.ts'
import type { Viewer } from './viewers.ts'

type Requester = Pick<Viewer, 'userId' | 'deviceId'>

/** What clients read of rooms. What each does, and what it throws, is said where it is made. */
export type Reading = {
  messages(requester: Requester, roomId: RoomId, query: MessagesQuery): Promise<MessagesResponse>
  event(requester: Requester, roomId: RoomId, eventId: EventId): Promise<ClientEvent>
  context(
    requester: Requester,
    roomId: RoomId,
    eventId: EventId,
    query: { limit: number; filter: RoomEventFilter },
  ): Promise<ContextResponse>
  someEvents(requester: Requester, eventIds: readonly EventId[]): Promise<Map<EventId, ClientEvent>>
  state(requester: Requester, roomId: RoomId): Promise<ClientEvent[]>
  stateEvent(
    requester: Requester,
    roomId: RoomId,
    query: { type: string; stateKey: string; format: 'content' | 'event' },
  ): Promise<ClientEvent | JsonObject>
  members(requester: Requester, roomId: RoomId, query: MembersQuery): Promise<ClientEvent[]>
  joinedMembers(requester: Requester, roomId: RoomId): Promise<JoinedMembers>
  eventNearTime(requester: Requester, roomId: RoomId, query: TimeQuery): Promise<NearEvent>
  relations(requester: Requester, roomId: RoomId, eventId: EventId, query: RelationsQuery): Promise<RelationsResponse>
  threads(
    requester: Requester,
    roomId: RoomId,
    query: ThreadsQuery,
  ): Promise<{ chunk: ClientEvent[]; next_batch?: string }>
  search(requester: Requester, query: SearchQuery): Promise<SearchResponse>
}

/** @param history where other servers are asked for what is not here */
export function createReading(parts: RoomParts, history: { backfill: Backfill; elsewhere: EventElsewhere }): Reading {
  return {
    messages: (requester, roomId, query) => messages(parts, history.backfill, requester, roomId, query),
    event: (requester, roomId, eventId) => oneEvent(parts, requester, roomId, eventId),
    context: (requester, roomId, eventId, query) => eventContext(parts, requester, roomId, eventId, query),
    someEvents: (requester, eventIds) => someEvents(parts, requester, eventIds),
    state: (requester, roomId) => roomState(parts, requester, roomId),
    stateEvent: (requester, roomId, query) => stateEvent(parts, requester, roomId, query),
    members: (requester, roomId, query) => members(parts, requester, roomId, query),
    joinedMembers: (requester, roomId) => joinedMembers(parts, requester, roomId),
    eventNearTime: (requester, roomId, query) => eventNearTime(parts, history.elsewhere, requester, roomId, query),
    relations: (requester, roomId, eventId, query) => relations(parts, requester, roomId, eventId, query),
    threads: (requester, roomId, query) => threads(parts, requester, roomId, query),
    search: (requester, query) => search(parts, requester, query),
  }
}
