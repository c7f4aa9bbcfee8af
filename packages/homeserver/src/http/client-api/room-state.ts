import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isUserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

const params = Type.Object({ roomId: Type.String(), type: plainText(255), stateKey: Type.Optional(plainText(255)) })
const setSchema = {
  params,
  body: Type.Unsafe<JsonObject>(Type.Object({})),
}

const getSchema = { params, querystring: Type.Object({ format: Type.Optional(Type.String()) }) }
const roomSchema = { params: Type.Object({ roomId: Type.String() }) }
const config = { guests: true }

/** The state of a room, all of it, and one piece of it with and without a state key: read and set. */
export function roomState(app: App, ctx: Context): void {
  for (const path of ['', '/', '/:stateKey'].flatMap((end) => clientPaths(`/rooms/:roomId/state/:type${end}`))) {
    app.put(
      path,
      { schema: setSchema, config: { ...config, notSuspended: true } },
      async ({ requester, params, body }) => {
        const { type, stateKey = '' } = params
        const roomId = checkedRoomId(params.roomId)
        if (type === 'm.room.member') {
          if (!isUserId(stateKey)) throw invalidParam('The state key is no user ID')
          return { event_id: await ctx.rooms.members.set(requester, roomId, stateKey, body) }
        }
        const eventId = await ctx.rooms.speaking.say(requester, roomId, { type, stateKey, content: body })
        return { event_id: eventId }
      },
    )

    app.get(path, { schema: getSchema, config }, async ({ requester, params, query }) => {
      const { type, stateKey = '' } = params
      const { format = 'content' } = query
      if (format !== 'content' && format !== 'event') throw invalidParam('format is neither content nor event')
      return ctx.rooms.reading.stateEvent(requester, checkedRoomId(params.roomId), { type, stateKey, format })
    })
  }

  for (const path of ['', '/'].flatMap((end) => clientPaths(`/rooms/:roomId/state${end}`))) {
    app.get(path, { schema: roomSchema, config }, async ({ requester, params }) =>
      ctx.rooms.reading.state(requester, checkedRoomId(params.roomId)),
    )
  }
}
