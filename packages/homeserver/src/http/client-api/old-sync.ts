import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam, MatrixError } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { checkedRoomId } from './room-send.ts'
import { clientGone, milliseconds, syncToken } from './sync.ts'
import { clientPaths } from './versions-of.ts'

/** Events of a room if the client does not say it, and at most; how long it waits, if it does not say it (ms). */
const DEFAULT_LIMIT = 10
const MAX_LIMIT = 100
const DEFAULT_WAIT_MS = 30_000
const MAX_WAIT_MS = 10 * 60_000

const text = Type.Optional(Type.String())
const initialSchema = { querystring: Type.Object({ limit: text, archived: text }) }
const eventsSchema = { querystring: Type.Object({ from: text, timeout: text, limit: text, room_id: text }) }
const roomSchema = { params: Type.Object({ roomId: Type.String() }), querystring: Type.Object({ limit: text }) }
const config = { guests: true }

/** What clients used before `/sync`: `GET /initialSync`, `/events` and `/rooms/{roomId}/initialSync`, all deprecated. */
export function oldSyncRoutes(app: App, ctx: Context): void {
  for (const path of clientPaths('/initialSync')) {
    app.get(path, { schema: initialSchema }, async ({ requester, query }) => {
      const archived = query.archived === 'true'
      await ctx.ephemeral.syncing(requester, 'online', 0)
      return ctx.oldSync.initialSync(requester, { limit: limitOf(query.limit), archived })
    })
  }

  for (const path of clientPaths('/events')) {
    app.get(path, { schema: eventsSchema, config }, async ({ requester, query }, reply) => {
      limitOf(query.limit)
      const { from, timeout, room_id: roomId } = query
      if (roomId === undefined && requester.isGuest) {
        throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests see the events of single rooms')
      }
      const waiting = {
        from: from === undefined || from === '' ? undefined : syncToken(from, 'from'),
        timeoutMs: Math.min(timeout === undefined ? DEFAULT_WAIT_MS : milliseconds(timeout), MAX_WAIT_MS),
        signal: clientGone(reply, ctx),
      }
      await ctx.ephemeral.syncing(requester, 'online', waiting.timeoutMs)
      if (roomId === undefined) return ctx.oldSync.events(requester, waiting)
      return ctx.oldSync.eventsIn(requester, checkedRoomId(roomId), waiting)
    })
  }

  for (const path of clientPaths('/rooms/:roomId/initialSync')) {
    app.get(path, { schema: roomSchema, config }, async ({ requester, params, query }) =>
      ctx.oldSync.roomInitialSync(requester, checkedRoomId(params.roomId), limitOf(query.limit)),
    )
  }
}

function limitOf(limit: string | undefined): number {
  if (limit === undefined || limit === '') return DEFAULT_LIMIT
  if (!/^[0-9]{1,9}$/.test(limit)) throw invalidParam('limit is not a number of events')
  return Math.min(Number(limit), MAX_LIMIT)
}
