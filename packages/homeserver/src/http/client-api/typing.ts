import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isRoomId, type UserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

/** How long somebody who does not say counts as typing, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 30_000

const schema = {
  params: Type.Object({ roomId: Type.String(), userId: Type.Unsafe<UserId>(Type.String()) }),
  body: Type.Object({ typing: Type.Boolean(), timeout: Type.Optional(Type.Number()) }),
}

/** Client-server API, "Typing Notifications". */
export function typing(app: App, ctx: Context): void {
  for (const path of clientPaths('/rooms/:roomId/typing/:userId')) {
    app.put(path, { schema }, async ({ requester, params: { roomId, userId }, body }) => {
      if (!isRoomId(roomId)) throw invalidParam('This is not a room ID')
      const timeoutMs = body.typing && (body.timeout ?? DEFAULT_TIMEOUT_MS)
      await ctx.ephemeral.setTyping(requester.userId, roomId, userId, timeoutMs)
      if (body.typing) await ctx.ephemeral.active(requester)
      return {}
    })
  }
}
