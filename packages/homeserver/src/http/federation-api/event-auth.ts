import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { EventId, RoomId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { eventId, listOf, roomId } from './pdu-answers.ts'

const schema = { params: Type.Object({ roomId, eventId }) }

/** Server-server API, "Retrieving event authorisation information". */
export function eventAuth(app: App, ctx: Context): void {
  const path = '/_matrix/federation/v1/event_auth/:roomId/:eventId'
  app.get(path, { schema }, async ({ origin, params }, reply) => {
    const chain = await ctx.rooms.serving.authChain(origin, params.roomId as RoomId, params.eventId as EventId)
    return reply.type('application/json').send(`{"auth_chain":${listOf(chain)}}`)
  })
}
