import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isRoomId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const eventId = Type.Optional(Type.String())
const schema = {
  params: Type.Object({ roomId: Type.String() }),
  body: Type.Object({ 'm.fully_read': eventId, 'm.read': eventId, 'm.read.private': eventId }),
}

/** Client-server API, "Read and unread markers". */
export function readMarkers(app: App, ctx: Context): void {
  for (const path of clientPaths('/rooms/:roomId/read_markers')) {
    app.post(path, { schema }, async ({ requester, params: { roomId }, body }) => {
      if (!isRoomId(roomId)) throw invalidParam('This is not a room ID')
      await ctx.ephemeral.setMarkers(requester.userId, roomId, body)
      return {}
    })
  }
}
