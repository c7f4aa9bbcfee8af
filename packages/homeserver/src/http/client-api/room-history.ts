import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { badJson, invalidParam } from '../../matrix/errors.ts'
import { type EventId, isEventId } from '../../matrix/ids.ts'
import { isObject, tryParseJson } from '../../matrix/json.ts'
import type { RoomEventFilter } from '../../matrix/room-event-filter.ts'
import type { App } from '../app.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

/** What a page has if its client does not say it, and at most. */
const DEFAULT_LIMIT = 10
const MAX_LIMIT = 500

const text = Type.Optional(Type.String())
const room = { roomId: Type.String() }
const messagesSchema = {
  params: Type.Object(room),
  querystring: Type.Object({ from: text, to: text, dir: text, limit: text, filter: text }),
}
const eventSchema = { params: Type.Object({ ...room, eventId: Type.String() }) }
const contextSchema = { ...eventSchema, querystring: Type.Object({ limit: text, filter: text }) }
const timeSchema = { params: Type.Object(room), querystring: Type.Object({ ts: Type.String(), dir: text }) }
const config = { guests: true }

/** Client-server API, "Getting events for a room", "Event Context". */
export function roomHistory(app: App, ctx: Context): void {
  for (const path of clientPaths('/rooms/:roomId/messages')) {
    app.get(path, { schema: messagesSchema, config }, async ({ requester, params, query }) => {
      const filter = roomEventFilter(ctx, query.filter)
      return ctx.rooms.reading.messages(requester, checkedRoomId(params.roomId), {
        dir: direction(query.dir),
        from: query.from || undefined,
        to: query.to || undefined,
        limit: pageLimit(query.limit, filter.limit),
        filter,
      })
    })
  }

  for (const path of clientPaths('/rooms/:roomId/event/:eventId')) {
    app.get(path, { schema: eventSchema, config }, async ({ requester, params }) =>
      ctx.rooms.reading.event(requester, checkedRoomId(params.roomId), checkedEventId(params.eventId)),
    )
  }

  for (const path of clientPaths('/rooms/:roomId/context/:eventId')) {
    app.get(path, { schema: contextSchema, config }, async ({ requester, params, query }) => {
      const filter = roomEventFilter(ctx, query.filter)
      const limit = pageLimit(query.limit, filter.limit)
      return ctx.rooms.reading.context(requester, checkedRoomId(params.roomId), checkedEventId(params.eventId), {
        limit,
        filter,
      })
    })
  }

  app.get(
    '/_matrix/client/v1/rooms/:roomId/timestamp_to_event',
    { schema: timeSchema },
    async ({ requester, params, query }) => {
      if (!/^[0-9]{1,15}$/.test(query.ts)) throw invalidParam('ts is not a time in milliseconds')
      const asked = { ts: Number(query.ts), dir: direction(query.dir) }
      return ctx.rooms.reading.eventNearTime(requester, checkedRoomId(params.roomId), asked)
    },
  )
}

/** @throws `M_INVALID_PARAM` */
export function checkedEventId(eventId: string): EventId {
  if (!isEventId(eventId)) throw invalidParam('This is not an event ID')
  return eventId
}

/** Old clients leave it out. @throws `M_INVALID_PARAM` */
export function direction(dir: string | undefined, byDefault: 'f' | 'b' | undefined = 'f'): 'f' | 'b' {
  const asked = dir ?? byDefault
  if (asked !== 'f' && asked !== 'b') throw invalidParam('dir is neither f nor b')
  return asked
}

/** How many a page has: as asked for, within bounds. @throws `M_INVALID_PARAM` */
export function pageLimit(limit: string | undefined, ofFilter?: number): number {
  if (limit === undefined || limit === '') return Math.min(ofFilter ?? DEFAULT_LIMIT, MAX_LIMIT)
  if (!/^[0-9]{1,9}$/.test(limit)) throw invalidParam('limit is not a number')
  return Math.min(Number(limit), MAX_LIMIT)
}

/** @throws `M_BAD_JSON` */
function roomEventFilter(ctx: Context, filter: string | undefined): RoomEventFilter {
  if (filter === undefined || filter === '') return {}
  const definition = tryParseJson(filter)
  if (!isObject(definition)) throw badJson('The filter is not JSON')
  ctx.users.checkFilter({ room: { timeline: definition } })
  return definition as RoomEventFilter
}
