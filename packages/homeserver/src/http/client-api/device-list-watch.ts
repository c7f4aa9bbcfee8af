import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import type { Context } from '../../context.ts'
import { limitExceeded, MatrixError } from '../../matrix/errors.ts'
import type { UserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'

/** Streams that one user may have open at the same time. */
const STREAMS_PER_USER = 5
/** Who has too many is to ask again after this time (ms). */
const TOO_MANY_WAIT_MS = 10_000

/**
 * `GET /_evergreen/client/v1/device_lists`: how the lists are of those with whom the requester shares encrypted rooms; with
 * `Accept: text/event-stream` as a stream that goes on. An extension of ours, see docs/api.md.
 */
export function deviceListWatch(app: App, ctx: Context): void {
  const streams = new Map<UserId, Set<object>>()

  /** Takes one of the user's streams. @returns gives it back, once */
  function take(userId: UserId): () => void {
    const open = streams.get(userId) ?? new Set()
    if (open.size >= STREAMS_PER_USER) throw limitExceeded(TOO_MANY_WAIT_MS)
    const own = {}
    streams.set(userId, open.add(own))
    return () => {
      open.delete(own)
      if (open.size === 0 && streams.get(userId) === open) streams.delete(userId)
    }
  }

  app.get('/_evergreen/client/v1/device_lists', async (request, reply) => {
    const { userId } = request.requester
    if (!request.headers.accept?.includes('text/event-stream'))
      return { lists: await ctx.deviceLists.companyLists(userId) }
    const token = bearerOf(request)
    const gone = new AbortController()
    const leave = take(userId)
    reply.raw.once('close', () => {
      leave()
      gone.abort()
    })
    const { ip, headers } = request
    const mayWatch = async () => {
      const session = await ctx.devices.authenticate(token, { ip, userAgent: headers['user-agent'] })
      return session !== undefined && session !== 'expired' && !session.isLocked
    }
    const signal = AbortSignal.any([gone.signal, ctx.shutdown])
    reply.headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' }).type('text/event-stream')
    return reply.send(Readable.from(events(ctx.deviceLists.watch(userId, signal, mayWatch), leave)))
  })
}

/** The news as server-sent events: `state` has all lists, `update` what is new; a comment says that all is as it was. */
async function* events(news: ReturnType<Context['deviceLists']['watch']>, onEnd: () => void): AsyncGenerator<string> {
  let name = 'state'
  try {
    for await (const one of news) {
      yield one ? `event: ${name}\ndata: ${JSON.stringify(one)}\n\n` : ': as it was\n\n'
      name = 'update'
    }
  } finally {
    onEnd()
  }
}

/** A stream is opened with a header only: an address with a token in it would stand in logs for as long as it is open. */
function bearerOf(request: FastifyRequest): string {
  const token = /^Bearer +(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1]
  if (!token)
    throw new MatrixError(401, 'M_MISSING_TOKEN', 'A stream needs the access token in the Authorization header')
  return token
}
