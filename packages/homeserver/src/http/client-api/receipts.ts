import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isRoomId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { optionalBody } from '../optional-body.ts'
import { clientPaths } from './versions-of.ts'

const schema = {
  params: Type.Object({
    roomId: Type.String(),
    receiptType: Type.Enum(['m.read', 'm.read.private', 'm.fully_read']),
    eventId: Type.String(),
  }),
  // What is wrong with `thread_id` is said with an error of its own.
  body: optionalBody(Type.Object({ thread_id: Type.Optional(Type.Unknown()) })),
}

/** Client-server API, "Receipts". */
export function receipts(app: App, ctx: Context): void {
  for (const path of clientPaths('/rooms/:roomId/receipt/:receiptType/:eventId')) {
    app.post(path, { schema }, async ({ requester, params: { roomId, receiptType, eventId }, body }) => {
      if (!isRoomId(roomId)) throw invalidParam('This is not a room ID')
      await ctx.ephemeral.setReceipt(requester.userId, roomId, receiptType, eventId, body?.thread_id)
      return {}
    })
  }
}
