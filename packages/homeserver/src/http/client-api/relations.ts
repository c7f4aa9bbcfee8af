import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { checkedEventId, direction, pageLimit } from './room-history.ts'
import { checkedRoomId } from './room-send.ts'

const text = Type.Optional(Type.String())
const relationsSchema = {
  params: Type.Object({
    roomId: Type.String(),
    eventId: Type.String(),
    relType: Type.Optional(plainText(255)),
    eventType: Type.Optional(plainText(255)),
  }),
  querystring: Type.Object({ from: text, to: text, limit: text, dir: text, recurse: text }),
}
const threadsSchema = {
  params: Type.Object({ roomId: Type.String() }),
  querystring: Type.Object({ include: text, from: text, limit: text }),
}
const ROOM = '/_matrix/client/v1/rooms/:roomId'

/** Client-server API, "Relationships API", "Querying threads in a room". */
export function relations(app: App, ctx: Context): void {
  for (const end of ['', '/:relType', '/:relType/:eventType']) {
    const path = `${ROOM}/relations/:eventId${end}`
    app.get(path, { schema: relationsSchema }, async ({ requester, params, query }) => {
      const { relType, eventType } = params
      return ctx.rooms.reading.relations(requester, checkedRoomId(params.roomId), checkedEventId(params.eventId), {
        relType,
        eventType,
        from: query.from || undefined,
        to: query.to || undefined,
        limit: atLeastOne(pageLimit(query.limit)),
        dir: direction(query.dir, 'b'),
        recurse: query.recurse === undefined ? undefined : query.recurse === 'true',
      })
    })
  }

  app.get(`${ROOM}/threads`, { schema: threadsSchema }, async ({ requester, params, query }) => {
    const { include = 'all' } = query
    if (include !== 'all' && include !== 'participated') throw invalidParam('include is neither all nor participated')
    return ctx.rooms.reading.threads(requester, checkedRoomId(params.roomId), {
      participated: include === 'participated',
      from: query.from || undefined,
      limit: atLeastOne(pageLimit(query.limit)),
    })
  })
}

function atLeastOne(limit: number): number {
  if (limit === 0) throw invalidParam('limit is not greater than zero')
  return limit
}
