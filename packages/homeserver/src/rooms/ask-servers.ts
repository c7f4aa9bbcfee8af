import type { RoomEvent } from '../matrix/events.ts'
import type { FederationRequest } from '../matrix/federation.ts'
import { type EventId, isEventId, type RoomId, type ServerName } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import type { RoomParts } from './ports.ts'
import { verifyEvents } from './verify-events.ts'

type Parts = Pick<RoomParts, 'remote' | 'clock'>

/** A server that is asked about a room. */
export type Source = { server: ServerName; roomId: RoomId; version: RoomVersion }

/** Milliseconds for an answer that is short, and for one that may be long. */
const SHORT = { timeoutMs: 15_000, maxBytes: 8 * 1024 * 1024 }
const LONG = { timeoutMs: 60_000, maxBytes: 128 * 1024 * 1024 }
/** Events of one answer that are looked at. A room of many members has as many events in its state. */
const MAX_EVENTS = 200_000

const V1 = '/_matrix/federation/v1'
const encode = encodeURIComponent

/** `GET /event/{eventId}`: the event, verified; `undefined` if it is not had. */
export async function askForEvent(parts: Parts, from: Source, eventId: EventId): Promise<RoomEvent | undefined> {
  const body = await get(parts, from, `${V1}/event/${encode(eventId)}`, SHORT)
  const events = await verified(parts, from, body?.pdus)
  return events?.find((event) => event.eventId === eventId)
}

/** `GET /event_auth/{roomId}/{eventId}`: what authorizes an event, verified, in no order. */
export async function askForAuthChain(parts: Parts, from: Source, eventId: EventId): Promise<RoomEvent[] | undefined> {
  const body = await get(parts, from, `${V1}/event_auth/${encode(from.roomId)}/${encode(eventId)}`, LONG)
  return verified(parts, from, body?.auth_chain)
}

/** `POST /get_missing_events/{roomId}`: what lies between two sets of events, verified, in no order. */
export async function askForMissingEvents(
  parts: Parts,
  from: Source,
  between: { earliest: readonly EventId[]; latest: readonly EventId[]; limit: number },
): Promise<RoomEvent[] | undefined> {
  const body = await answerOf(parts, from, {
    method: 'POST',
    path: `${V1}/get_missing_events/${encode(from.roomId)}`,
    body: {
      earliest_events: between.earliest,
      latest_events: between.latest,
      limit: between.limit,
      min_depth: 0,
    },
    ...SHORT,
  })
  return verified(parts, from, limited(body?.events, between.limit))
}

/** `GET /state_ids/{roomId}`: the state before an event. */
export async function askForStateIds(
  parts: Parts,
  from: Source,
  eventId: EventId,
): Promise<{ state: EventId[]; authChain: EventId[] } | undefined> {
  const path = `${V1}/state_ids/${encode(from.roomId)}?event_id=${encode(eventId)}`
  const body = await get(parts, from, path, LONG)
  if (!Array.isArray(body?.pdu_ids) || !Array.isArray(body.auth_chain_ids)) return undefined
  const idsOf = (ids: unknown[]) => [...new Set(ids.slice(0, MAX_EVENTS).filter(isEventId))]
  return { state: idsOf(body.pdu_ids), authChain: idsOf(body.auth_chain_ids) }
}

/** `GET /state/{roomId}`: the same as whole events, verified: state and auth chain together. */
export async function askForState(parts: Parts, from: Source, eventId: EventId): Promise<RoomEvent[] | undefined> {
  const body = await get(parts, from, `${V1}/state/${encode(from.roomId)}?event_id=${encode(eventId)}`, LONG)
  if (!Array.isArray(body?.pdus) || !Array.isArray(body.auth_chain)) return undefined
  return verified(parts, from, [...body.pdus, ...body.auth_chain])
}

/** `GET /backfill/{roomId}`: these events and what they follow, verified, in no order. */
export async function askForBackfill(
  parts: Parts,
  from: Source,
  eventIds: readonly EventId[],
  limit: number,
): Promise<RoomEvent[] | undefined> {
  const query = [...eventIds.map((id) => `v=${encode(id)}`), `limit=${limit}`].join('&')
  const body = await get(parts, from, `${V1}/backfill/${encode(from.roomId)}?${query}`, SHORT)
  return verified(parts, from, limited(body?.pdus, limit))
}

/** `GET /timestamp_to_event/{roomId}`: which event a server knows as the nearest to a time (epoch ms). */
export async function askForEventNearTime(
  parts: Parts,
  from: Source,
  { ts, dir }: { ts: number; dir: 'f' | 'b' },
): Promise<{ eventId: EventId; originServerTs: number } | undefined> {
  const path = `${V1}/timestamp_to_event/${encode(from.roomId)}?ts=${ts}&dir=${dir}`
  const body = await get(parts, from, path, SHORT)
  const { event_id: eventId, origin_server_ts: originServerTs } = body ?? {}
  return isEventId(eventId) && typeof originServerTs === 'number' ? { eventId, originServerTs } : undefined
}

function get(parts: Parts, from: Source, path: string, limits: typeof SHORT) {
  return answerOf(parts, from, { method: 'GET', path, ...limits })
}

async function answerOf(
  { remote }: Parts,
  { server }: Source,
  request: FederationRequest,
): Promise<Record<string, unknown> | undefined> {
  const answer = await remote.request(server, request)
  return answer.kind === 'answer' && answer.status === 200 && isObject(answer.body) ? answer.body : undefined
}

const limited = (list: unknown, limit: number) => (Array.isArray(list) ? list.slice(0, limit) : undefined)

/** The good ones among the events of an answer, each once, those of other rooms left out. */
async function verified(parts: Parts, { roomId, version }: Source, pdus: unknown): Promise<RoomEvent[] | undefined> {
  if (!Array.isArray(pdus)) return undefined
  const found = new Map<EventId, RoomEvent>()
  for (const result of await verifyEvents(parts, pdus.slice(0, MAX_EVENTS), version)) {
    if ('event' in result && result.event.roomId === roomId) found.set(result.event.eventId, result.event)
  }
  return [...found.values()]
}
