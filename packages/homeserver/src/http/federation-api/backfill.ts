import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { missingParam } from '../../matrix/errors.ts'
import type { EventId, RoomId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { eventId, listOf, pduTransaction, roomId } from './pdu-answers.ts'

const V1 = '/_matrix/federation/v1'
/** Events that one may begin from. */
const MAX_STARTS = 50
const DEFAULT_MISSING = 10

const backfillSchema = {
  params: Type.Object({ roomId }),
  querystring: Type.Object({
    v: Type.Optional(Type.Union([eventId, Type.Array(eventId, { maxItems: MAX_STARTS })])),
    limit: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$' })),
  }),
}
const missingSchema = {
  params: Type.Object({ roomId }),
  body: Type.Object({
    earliest_events: Type.Optional(Type.Array(eventId, { maxItems: 1_000 })),
    latest_events: Type.Optional(Type.Array(eventId, { maxItems: MAX_STARTS })),
    limit: Type.Optional(Type.Integer({ minimum: 0 })),
    min_depth: Type.Optional(Type.Integer()),
  }),
}

/** Server-server API, "Backfilling and retrieving missing events". */
export function backfill(app: App, ctx: Context): void {
  const { serving } = ctx.rooms

  app.get(`${V1}/backfill/:roomId`, { schema: backfillSchema }, async ({ origin, params, query }, reply) => {
    const { v = [], limit } = query
    if (limit === undefined) throw missingParam('limit is missing')
    const from = [v].flat() as EventId[]
    const pdus = await serving.backfill(origin, params.roomId as RoomId, from, Number(limit))
    return reply.type('application/json').send(pduTransaction(ctx, pdus))
  })

  app.post(`${V1}/get_missing_events/:roomId`, { schema: missingSchema }, async ({ origin, params, body }, reply) => {
    const { earliest_events: earliest = [], latest_events: latest = [], limit, min_depth: minDepth } = body
    const pdus = await serving.missing(origin, params.roomId as RoomId, {
      earliest: earliest as EventId[],
      latest: latest as EventId[],
      limit: limit ?? DEFAULT_MISSING,
      minDepth: minDepth ?? 0,
    })
    return reply.type('application/json').send(`{"events":${listOf(pdus)}}`)
  })
}
