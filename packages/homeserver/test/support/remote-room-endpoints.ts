import { isObject } from '../../src/matrix/json.ts'
import type { HttpResponse } from '../../src/platform/network.ts'
import type { Question, RemoteEndpoint } from './remote-endpoints.ts'
import type { RemoteRoom } from './remote-room.ts'
import { errorResponse, jsonResponse } from './responses.ts'

const V1 = '/_matrix/federation/v1'

/** What a remote that is in rooms answers about their events. The parameter is the rest of the path, with the query. */
export function remoteRoomEndpoints(rooms: ReadonlyMap<string, RemoteRoom>): RemoteEndpoint[] {
  const pdusOf = (events: Iterable<{ pdu: object }>) => [...events].map((event) => event.pdu)
  const idsOf = (events: Iterable<{ eventId: string }>) => [...events].map((event) => event.eventId)

  function endpoint(
    name: RemoteEndpoint['name'],
    method: 'GET' | 'POST',
    answer: (room: RemoteRoom, asked: { eventId: string; query: URLSearchParams; body: unknown }) => object | undefined,
  ): RemoteEndpoint {
    const path = {
      missingEvents: 'get_missing_events',
      stateIds: 'state_ids',
      eventAuth: 'event_auth',
      nearTime: 'timestamp_to_event',
    }[name as string]
    return {
      name,
      method,
      path: new RegExp(`^${V1}/${path ?? name}/(.+)$`),
      signed: true,
      about: () => [],
      answer({ parameter, body }: Question): HttpResponse {
        const url = new URL(`http://x/${parameter}`)
        const [first, second] = url.pathname.slice(1).split('/').map(decodeURIComponent)
        const query = url.searchParams
        const room = name === 'event' ? roomOf(first!) : rooms.get(first!)
        const eventId = (name === 'event' ? first : (second ?? query.get('event_id'))) ?? ''
        const answered = room && answer(room, { eventId, query, body })
        return answered ? jsonResponse(200, answered) : errorResponse(404, 'M_NOT_FOUND')
      },
    }
  }
  const roomOf = (eventId: string) => [...rooms.values()].find((room) => room.events.has(eventId))

  return [
    endpoint('event', 'GET', (room, { eventId }) => ({ pdus: [room.events.get(eventId)!.pdu] })),
    endpoint('eventAuth', 'GET', (room, { eventId }) => {
      const event = room.events.get(eventId)
      return event && { auth_chain: pdusOf(room.authChain([event])) }
    }),
    endpoint('missingEvents', 'POST', (room, { body }) => {
      if (!isObject(body)) return undefined
      const { latest_events: latest, earliest_events: earliest, limit } = body
      return { events: pdusOf(room.before(latest as string[], earliest as string[], limit as number)) }
    }),
    endpoint('stateIds', 'GET', (room, { eventId }) => {
      if (!room.events.has(eventId)) return undefined
      const state = [...room.stateBefore(eventId).values()]
      return { pdu_ids: idsOf(state), auth_chain_ids: idsOf(room.authChain(state)) }
    }),
    endpoint('state', 'GET', (room, { eventId }) => {
      if (!room.events.has(eventId)) return undefined
      const state = [...room.stateBefore(eventId).values()]
      return { pdus: pdusOf(state), auth_chain: pdusOf(room.authChain(state)) }
    }),
    endpoint('backfill', 'GET', (room, { query }) => {
      const from = query.getAll('v')
      const events = [
        ...from.flatMap((id) => room.events.get(id) ?? []),
        ...room.before(from, [], Number(query.get('limit')) - from.length),
      ]
      return { pdus: pdusOf(events) }
    }),
    endpoint('nearTime', 'GET', (room, { query }) => {
      const [ts, sign] = [Number(query.get('ts')), query.get('dir') === 'f' ? 1 : -1]
      const far = ({ originServerTs }: { originServerTs: number }) => sign * (originServerTs - ts)
      const [found] = [...room.events.values()].filter((event) => far(event) >= 0).sort((a, b) => far(a) - far(b))
      return found && { event_id: found.eventId, origin_server_ts: found.originServerTs }
    }),
  ]
}
