import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { JsonObject } from '../../matrix/json.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

const schema = {
  params: Type.Object({ roomId: Type.String(), type: plainText(255), stateKey: Type.Optional(plainText(255)) }),
  body: Type.Unsafe<JsonObject>(Type.Object({})),
}

/** `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`, with and without the state key. */
export function roomState(app: App, ctx: Context): void {
  for (const path of ['', '/', '/:stateKey'].flatMap((end) => clientPaths(`/rooms/:roomId/state/:type${end}`))) {
    app.put(path, { schema, config: { guests: true } }, async ({ requester, params, body }) => {
      const { type, stateKey = '' } = params
      const roomId = checkedRoomId(params.roomId)
      const eventId = await ctx.rooms.speaking.say(requester, roomId, { type, stateKey, content: body })
      return { event_id: eventId }
    })
  }
}
