import { type Static, Type } from 'typebox'
import type { Context } from '../../context.ts'
import { badJson, invalidParam, notFound } from '../../matrix/errors.ts'
import { isServerName, isUserId, type UserId } from '../../matrix/ids.ts'
import { DOUBT_AGES } from '../../storage/device-list-counts.ts'
import { destinationOverview } from '../../storage/device-list-figures.ts'
import type { App } from '../app.ts'
import { requireAdmin } from './admin.ts'

const BASE = '/_evergreen/admin/v1'
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 10_000

const text = Type.Optional(Type.String())
const listQuery = Type.Object({ state: text, server: text, reason: text, min_age: text, limit: text })
const userParams = Type.Object({ userId: Type.String() })
const refreshBody = Type.Object({ server: text, stale: Type.Optional(Type.Boolean()) })

/** For operators, with the access token of an admin: device lists and servers. An extension of ours, see docs/api.md. */
export function evergreenAdmin(app: App, ctx: Context): void {
  app.register(async (scope) => {
    scope.addHook('preValidation', async (request) => {
      if (!request.is404) requireAdmin(request.requester)
    })
    routes(scope as App, ctx)
  })
}

function routes(app: App, ctx: Context): void {
  const { deviceLists, store, clock } = ctx

  app.get(`${BASE}/device_lists`, { schema: { querystring: listQuery } }, async ({ query }) => ({
    lists: await deviceLists.list(filterOf(query)),
  }))

  app.get(`${BASE}/device_lists/:userId`, { schema: { params: userParams } }, async ({ params }) => {
    const found = await deviceLists.history(checked(params.userId))
    if (!found) throw notFound('There is no list of that user')
    return found
  })

  app.get(
    `${BASE}/device_list_counts`,
    { schema: { querystring: Type.Object({ since: text }) } },
    async ({ query }) => ({
      counts: await deviceLists.staleSince(whole(query.since, 'since', 0, Number.MAX_SAFE_INTEGER)),
      age_bounds: DOUBT_AGES,
    }),
  )

  app.post(
    `${BASE}/device_lists/:userId/refresh`,
    { schema: { params: userParams }, config: { ignoreBody: true } },
    async ({ params }) => {
      const [outcome] = await deviceLists.refreshByOperator([checked(params.userId)])
      return outcome
    },
  )

  // Many are fetched in the background: the answer says how many.
  app.post(`${BASE}/device_lists/refresh`, { schema: { body: refreshBody } }, async ({ body }, reply) => {
    const { server, stale } = body
    if ((server === undefined) === (stale !== true)) throw badJson('Either a server or stale: true')
    if (server !== undefined && !isServerName(server)) throw invalidParam('Not a server name')
    const lists = await deviceLists.refreshMany(server === undefined ? 'stale' : server)
    return reply.code(202).send({ lists })
  })

  app.get(
    `${BASE}/destinations`,
    { schema: { querystring: Type.Object({ failing: text, limit: text }) } },
    async ({ query }) => ({
      destinations: await destinationOverview(store.db, {
        failing: query.failing === 'true',
        now: clock.now(),
        limit: whole(query.limit, 'limit', DEFAULT_LIMIT, MAX_LIMIT),
      }),
    }),
  )
}

function filterOf(query: Static<typeof listQuery>) {
  const { state, server, reason } = query
  if (state !== undefined && !isState(state)) throw invalidParam('state is fresh, pending, failing, untracked or stale')
  if (server !== undefined && !isServerName(server)) throw invalidParam('Not a server name')
  return {
    server,
    reason,
    staleOnly: state === 'stale',
    ...(state !== undefined && state !== 'stale' && { state }),
    minAgeMs: whole(query.min_age, 'min_age', 0, Number.MAX_SAFE_INTEGER),
    limit: whole(query.limit, 'limit', DEFAULT_LIMIT, MAX_LIMIT),
  }
}

const STATES = ['fresh', 'pending', 'failing', 'untracked', 'stale'] as const
const isState = (state: string): state is (typeof STATES)[number] => (STATES as readonly string[]).includes(state)

function whole(value: string | undefined, name: string, fallback: number, most: number): number {
  if (value === undefined || value === '') return fallback
  if (!/^[0-9]{1,15}$/.test(value)) throw invalidParam(`${name} is not a number`)
  return Math.min(Number(value), most)
}

function checked(userId: string): UserId {
  if (!isUserId(userId)) throw invalidParam('Not a user ID')
  return userId
}
