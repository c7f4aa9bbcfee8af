import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

/** What a page has if its client does not say it, and at most. */
const DEFAULT_LIMIT = 20
const MAX_LIMIT = 100

const text = Type.Optional(Type.String())
const schema = { querystring: Type.Object({ from: text, limit: text, only: text }) }

/** `GET /notifications`. Client-server API, "Listing Notifications". */
export function notifications(app: App, ctx: Context): void {
  for (const path of clientPaths('/notifications')) {
    app.get(path, { schema }, async ({ requester, query }) => {
      const page = await ctx.users.notifications.notifications(requester.userId, {
        from: query.from || undefined,
        limit: limitOf(query.limit),
        highlights: query.only === 'highlight',
      })
      const ids = page.notifications.map((one) => one.eventId)
      const events = await ctx.rooms.reading.someEvents(requester, ids)
      return {
        notifications: page.notifications.flatMap(({ eventId, roomId, ...shown }) => {
          const event = events.get(eventId)
          return event ? [{ ...shown, room_id: roomId, event }] : []
        }),
        ...(page.nextToken === undefined ? {} : { next_token: page.nextToken }),
      }
    })
  }
}

function limitOf(limit: string | undefined): number {
  if (limit === undefined || limit === '') return DEFAULT_LIMIT
  if (!/^[0-9]{1,9}$/.test(limit)) throw invalidParam('limit is not a number')
  return Math.min(Math.max(Number(limit), 1), MAX_LIMIT)
}
