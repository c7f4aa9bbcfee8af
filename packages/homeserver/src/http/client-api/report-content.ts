import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isUserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { checkedEventId } from './room-history.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

const reason = plainText(10_000)
const roomId = Type.String()
const eventSchema = {
  params: Type.Object({ roomId, eventId: Type.String() }),
  // Older clients send a score.
  body: Type.Object({
    reason: Type.Optional(reason),
    score: Type.Optional(Type.Integer({ minimum: -100, maximum: 0 })),
  }),
}
const roomSchema = { params: Type.Object({ roomId }), body: Type.Object({ reason }) }
const userSchema = { params: Type.Object({ userId: Type.String() }), body: Type.Object({ reason }) }

/** Client-server API, "Reporting Content". */
export function reportContent(app: App, ctx: Context): void {
  const { reports } = ctx.rooms
  for (const path of clientPaths('/rooms/:roomId/report/:eventId')) {
    app.post(path, { schema: eventSchema }, async ({ requester, params, body: { reason, score } }) => {
      const eventId = checkedEventId(params.eventId)
      await reports.reportEvent(requester.userId, checkedRoomId(params.roomId), eventId, { reason, score })
      return {}
    })
  }

  app.post('/_matrix/client/v3/rooms/:roomId/report', { schema: roomSchema }, async ({ requester, params, body }) => {
    await reports.reportRoom(requester.userId, checkedRoomId(params.roomId), { reason: body.reason })
    return {}
  })

  app.post('/_matrix/client/v3/users/:userId/report', { schema: userSchema }, async ({ requester, params, body }) => {
    if (!isUserId(params.userId)) throw invalidParam('This is not a user ID')
    await reports.reportUser(requester.userId, params.userId, { reason: body.reason })
    return {}
  })
}
