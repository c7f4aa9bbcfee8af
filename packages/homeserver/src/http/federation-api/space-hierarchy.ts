import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isRoomId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'

const schema = {
  params: Type.Object({ roomId: Type.String() }),
  querystring: Type.Object({ suggested_only: Type.Optional(Type.String()) }),
}

/** `GET /hierarchy/{roomId}`. Server-server API, "Spaces". */
export function spaceHierarchy(app: App, ctx: Context): void {
  app.get('/_matrix/federation/v1/hierarchy/:roomId', { schema }, async ({ origin, params, query }) => {
    if (!isRoomId(params.roomId)) throw invalidParam('This is not a room ID')
    return ctx.rooms.spaces.hierarchyFor(origin, params.roomId, query.suggested_only === 'true')
  })
}
