import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam, notFound } from '../../matrix/errors.ts'
import { isServerName, isUserId } from '../../matrix/ids.ts'
import { destinationOverview } from '../../storage/device-list-figures.ts'
import type { App } from '../app.ts'
import { errorHandler } from '../errors.ts'

/** What operators and their machines ask of everybody's listeners. */
export function opsApi(app: App, ctx: Context): void {
  // 200 as soon as the database answers; migrations are done before anything listens.
  app.get('/health', { config: { public: true } }, async () => {
    await ctx.store.position()
    return { status: 'ok' }
  })
}

const MAX_LISTED = 100_000
const listSchema = {
  querystring: Type.Object({ server: Type.Optional(Type.String()), stale: Type.Optional(Type.String()) }),
}
const userSchema = { params: Type.Object({ userId: Type.String() }) }
const refreshSchema = { body: Type.Object({ users: Type.Array(Type.String(), { maxItems: 100 }) }) }
const createSchema = {
  body: Type.Object({ localpart: Type.String(), password: Type.String(), admin: Type.Boolean() }),
}

/**
 * What the command line asks of a running server. Served on the socket in the data folder alone, which only its owner can
 * open: whoever reaches it may do all of this.
 */
export async function createOperatorApp(ctx: Context): Promise<App> {
  const app = Fastify({ bodyLimit: 1024 * 1024 }).withTypeProvider<TypeBoxTypeProvider>() as App
  app.setErrorHandler(errorHandler(ctx.log))
  app.get('/device_lists', { schema: listSchema }, ({ query }) =>
    ctx.deviceLists.list({
      server: isServerName(query.server) ? query.server : undefined,
      staleOnly: query.stale === 'true',
      limit: MAX_LISTED,
    }),
  )
  app.get('/device_lists/:userId/history', { schema: userSchema }, async ({ params: { userId } }) => {
    const found = isUserId(userId) ? await ctx.deviceLists.history(userId) : undefined
    if (!found) throw notFound('There is no list of that user')
    return found
  })
  app.get('/destinations', () =>
    destinationOverview(ctx.store.db, { failing: false, now: ctx.clock.now(), limit: MAX_LISTED }),
  )
  app.get('/device_lists/stale', { schema: listSchema }, ({ query }) =>
    ctx.deviceLists.staleUsers({ server: query.server }),
  )
  app.post('/device_lists/refresh', { schema: refreshSchema }, ({ body }) => {
    const users = body.users.filter(isUserId)
    if (users.length < body.users.length) throw invalidParam('Not a user ID')
    return ctx.deviceLists.refreshByOperator(users)
  })
  app.post('/users', { schema: createSchema }, ({ body }) => ctx.users.create(body))
  await app.ready()
  return app
}
