import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { forbidden, notFound } from '../../matrix/errors.ts'
import type { UserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

/** The largest filter, in bytes. */
const BODY_LIMIT = 64 * 1024

const userId = Type.Unsafe<UserId>(Type.String())
const createSchema = { params: Type.Object({ userId }), body: Type.Object({}) }
const readSchema = { params: Type.Object({ userId, filterId: Type.String() }) }

/** Client-server API, "Filtering". */
export function filter(app: App, ctx: Context): void {
  for (const path of clientPaths('/user/:userId/filter')) {
    app.post(path, { schema: createSchema, bodyLimit: BODY_LIMIT }, async ({ requester, params, body }) => ({
      filter_id: await ctx.users.addFilter(requester.userId, params.userId, body),
    }))

    app.get(`${path}/:filterId`, { schema: readSchema }, async ({ requester, params }) => {
      if (params.userId !== requester.userId) throw forbidden('This is the filter of somebody else')
      const found = await ctx.users.filter(params.userId, params.filterId)
      if (!found) throw notFound('No such filter')
      return found
    })
  }
}
