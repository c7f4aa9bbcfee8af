import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isRoomAlias, isRoomId, isServerName } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { requesterIfAny } from '../client-auth.ts'

const schema = {
  params: Type.Object({ roomIdOrAlias: Type.String() }),
  querystring: Type.Object({ via: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])) }),
}

/** `GET /room_summary/{roomIdOrAlias}`, also without a login. Client-server API, "Room summaries". */
export function roomSummary(app: App, ctx: Context): void {
  const config = { guests: true, optionalLogin: true, costs: 'profile' } as const
  app.get('/_matrix/client/v1/room_summary/:roomIdOrAlias', { schema, config }, async (request) => {
    const { roomIdOrAlias: room } = request.params
    if (!isRoomId(room) && !isRoomAlias(room)) throw invalidParam('This is neither a room ID nor an alias')
    const via = [request.query.via ?? []].flat().filter(isServerName)
    return ctx.rooms.spaces.summary(requesterIfAny(request)?.userId, room, via)
  })
}
