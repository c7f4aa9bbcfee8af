import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { badJson, invalidParam } from '../../matrix/errors.ts'
import type { UserId } from '../../matrix/ids.ts'
import { isObject, tryParseJson } from '../../matrix/json.ts'
import { type SyncFilter, syncFilter } from '../../sync/filter.ts'
import { parseToken, type SyncToken } from '../../sync/token.ts'
import type { App } from '../app.ts'

/** The longest that a client may wait for news, in milliseconds. */
const MAX_TIMEOUT_MS = 10 * 60_000

const text = Type.Optional(Type.String())
const syncSchema = {
  querystring: Type.Object({
    since: text,
    timeout: text,
    filter: text,
    full_state: text,
    set_presence: text,
    use_state_after: text,
  }),
}
const changesSchema = { querystring: Type.Object({ from: Type.String(), to: text }) }

/** `GET /sync`, and `GET /keys/changes`, which answers the same of two tokens. */
export function syncRoutes(app: App, ctx: Context): void {
  for (const prefix of ['/_matrix/client/v3', '/_matrix/client/r0']) {
    app.get(`${prefix}/sync`, { schema: syncSchema, config: { guests: true } }, async (request, reply) => {
      const {
        since,
        timeout,
        filter,
        full_state: fullState,
        use_state_after: stateAfter,
        set_presence: presence = 'online',
      } = request.query
      if (!isPresence(presence)) throw invalidParam('set_presence is none of online, unavailable and offline')
      const timeoutMs = Math.min(milliseconds(timeout), MAX_TIMEOUT_MS)
      await ctx.ephemeral.syncing(request.requester, presence, timeoutMs)
      return ctx.sync(request.requester, {
        since: since === undefined || since === '' ? undefined : syncToken(since, 'since'),
        timeoutMs,
        fullState: fullState === 'true',
        stateAfter: stateAfter === 'true',
        filter: await filterOf(ctx, request.requester.userId, filter),
        signal: clientGone(reply, ctx),
      })
    })

    app.get(`${prefix}/keys/changes`, { schema: changesSchema }, async (request) => {
      const { from, to } = request.query
      const newest = await ctx.store.position()
      const after = syncToken(from, 'from').position
      // The specification calls `to` a hint; here it counts.
      const upTo = to === undefined || to === '' ? newest : Math.min(syncToken(to, 'to').position, newest)
      return ctx.deviceLists.news(request.requester.userId, after, upTo)
    })
  }
}

/** Aborted when the client no longer waits for its answer, or the server stops. */
export function clientGone({ raw }: FastifyReply, { shutdown }: Context): AbortSignal {
  const gone = new AbortController()
  // Whoever got their answer is not gone.
  raw.once('close', () => raw.writableFinished || gone.abort())
  return AbortSignal.any([gone.signal, shutdown])
}

const isPresence = (value: string) => value === 'online' || value === 'unavailable' || value === 'offline'

export function syncToken(value: string, name: string): SyncToken {
  const parsed = parseToken(value)
  if (!parsed) throw invalidParam(`${name} is not a token of this server`)
  return parsed
}

export function milliseconds(timeout: string | undefined): number {
  if (timeout === undefined || timeout === '') return 0
  if (!/^[0-9]{1,12}$/.test(timeout)) throw invalidParam('timeout is not a number of milliseconds')
  return Number(timeout)
}

/** The filter that a query names: JSON in place if it begins with a brace, else the ID of one that was uploaded. */
async function filterOf(ctx: Context, userId: UserId, filter: string | undefined): Promise<SyncFilter> {
  if (filter === undefined || filter === '') return {}
  if (!filter.startsWith('{')) {
    const stored = await ctx.users.filter(userId, filter)
    if (!stored) throw invalidParam('No such filter')
    return syncFilter(stored)
  }
  const definition = tryParseJson(filter)
  if (!isObject(definition)) throw badJson('The filter is not JSON')
  ctx.users.checkFilter(definition)
  return syncFilter(definition)
}
