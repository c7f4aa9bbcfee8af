import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

/** The most that is kept of one tag, in bytes. */
const BODY_LIMIT = 4 * 1024

const room = { userId: Type.Unsafe<UserId>(Type.String()), roomId: Type.String() }
const listSchema = { params: Type.Object(room) }
const tagSchema = { params: Type.Object({ ...room, tag: Type.String() }) }
const putSchema = {
  ...tagSchema,
  body: Type.Object({ order: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })) }),
}

/** Client-server API, "Room Tagging". */
export function tags(app: App, ctx: Context): void {
  for (const path of clientPaths('/user/:userId/rooms/:roomId/tags')) {
    app.get(path, { schema: listSchema }, async ({ requester, params }) => ({
      tags: await ctx.users.tags.list(requester.userId, params),
    }))

    app.put(`${path}/:tag`, { schema: putSchema, bodyLimit: BODY_LIMIT }, async ({ requester, params, body }) => {
      await ctx.users.tags.put(requester.userId, params, params.tag, body as JsonObject)
      return {}
    })

    app.delete(`${path}/:tag`, { schema: tagSchema, config: { ignoreBody: true } }, async ({ requester, params }) => {
      await ctx.users.tags.remove(requester.userId, params, params.tag)
      return {}
    })
  }
}
