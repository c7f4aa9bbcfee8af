import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { checkedRoomId } from './room-send.ts'

const text = Type.Optional(Type.String())
const schema = {
  params: Type.Object({ roomId: Type.String() }),
  querystring: Type.Object({ suggested_only: text, limit: text, max_depth: text, from: text }),
}

/** `GET /rooms/{roomId}/hierarchy`. Client-server API, "Spaces". */
export function spaceHierarchy(app: App, ctx: Context): void {
  const config = { guests: true, costs: 'profile' } as const
  app.get('/_matrix/client/v1/rooms/:roomId/hierarchy', { schema, config }, async ({ requester, params, query }) => {
    const { suggested_only: suggested = 'false', limit, max_depth: maxDepth, from } = query
    if (suggested !== 'true' && suggested !== 'false') throw invalidParam('suggested_only is true or false')
    return ctx.rooms.spaces.hierarchy(requester.userId, checkedRoomId(params.roomId), {
      suggestedOnly: suggested === 'true',
      limit: limit === undefined ? undefined : whole(limit, 'limit', 1),
      maxDepth: maxDepth === undefined ? undefined : whole(maxDepth, 'max_depth', 0),
      from,
    })
  })
}

function whole(text: string, name: string, least: number): number {
  if (!/^[0-9]{1,9}$/.test(text) || Number(text) < least) throw invalidParam(`${name} is not a number from ${least}`)
  return Number(text)
}
