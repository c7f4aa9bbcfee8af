import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { missingParam } from '../../matrix/errors.ts'
import type { EventId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { eventId, listOf, pduTransaction, roomId } from './pdu-answers.ts'

const V1 = '/_matrix/federation/v1'

const stateSchema = {
  params: Type.Object({ roomId }),
  querystring: Type.Object({ event_id: Type.Optional(eventId) }),
}
const eventSchema = { params: Type.Object({ eventId }) }
const timeSchema = {
  params: Type.Object({ roomId }),
  querystring: Type.Object({
    ts: Type.String({ pattern: '^-?[0-9]{1,15}$' }),
    dir: Type.Enum(['f', 'b']),
  }),
}

/** Server-server API, "Retrieving events". */
export function events(app: App, ctx: Context): void {
  const { serving } = ctx.rooms
  const wanted = (query: { event_id?: string }): EventId => {
    if (query.event_id === undefined) throw missingParam('event_id is missing')
    return query.event_id as EventId
  }

  app.get(`${V1}/event/:eventId`, { schema: eventSchema }, async (request, reply) => {
    const pdu = await serving.event(request.origin, request.params.eventId as EventId)
    return reply.type('application/json').send(pduTransaction(ctx, [pdu]))
  })

  app.get(`${V1}/state/:roomId`, { schema: stateSchema }, async (request, reply) => {
    const at = wanted(request.query)
    const { state, authChain } = await serving.state(request.origin, request.params.roomId as never, at)
    return reply.type('application/json').send(`{"pdus":${listOf(state)},"auth_chain":${listOf(authChain)}}`)
  })

  app.get(`${V1}/state_ids/:roomId`, { schema: stateSchema }, async (request) => {
    const at = wanted(request.query)
    const { state, authChain } = await serving.stateIds(request.origin, request.params.roomId as never, at)
    return { pdu_ids: state, auth_chain_ids: authChain }
  })

  app.get(`${V1}/timestamp_to_event/:roomId`, { schema: timeSchema }, ({ origin, params, query }) =>
    serving.nearTime(origin, params.roomId as never, { ts: Number(query.ts), dir: query.dir as 'f' | 'b' }),
  )
}
