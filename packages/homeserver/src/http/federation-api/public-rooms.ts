import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { directoryBody, directoryQuery, directoryQueryOf, directoryQuerySchema } from '../directory-query.ts'

const PATH = '/_matrix/federation/v1/publicRooms'

/** Server-server API, "Published room directory". */
export function publicRooms(app: App, ctx: Context): void {
  const { directory } = ctx.rooms
  app.get(PATH, { schema: { querystring: Type.Object(directoryQuerySchema) } }, async ({ query }) =>
    directory.list(directoryQuery(query), true),
  )
  app.post(PATH, { schema: { body: Type.Optional(directoryBody) } }, async ({ body = {} }) =>
    directory.list(directoryQueryOf(body), true),
  )
}
