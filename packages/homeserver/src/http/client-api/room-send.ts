import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { badJson, invalidParam } from '../../matrix/errors.ts'
import { isEventId, isRoomId, type RoomId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { clientPaths } from './versions-of.ts'

const room = { roomId: Type.String() }
const content = Type.Unsafe<JsonObject>(Type.Object({}))
const sendSchema = {
  params: Type.Object({ ...room, type: plainText(255), txnId: Type.Optional(plainText(255)) }),
  body: content,
}
const redactSchema = {
  params: Type.Object({ ...room, eventId: Type.String(), txnId: Type.Optional(plainText(255)) }),
  body: Type.Optional(content),
}

/**
 * Client-server API, "Sending events to a room", "Redactions". Without a transaction ID it is `POST`, as in the first
 * versions of the API, which old clients and tools still use: every request makes an event.
 */
export function roomSend(app: App, ctx: Context): void {
  for (const { method, url } of withAndWithout('/rooms/:roomId/send/:type')) {
    const options = { method, url, schema: sendSchema, config: { guests: true, notSuspended: true } }
    app.route({
      ...options,
      async handler({ requester, params, body }) {
        const { type, txnId } = params
        const transaction = txnId === undefined ? undefined : { endpoint: `send ${type}`, txnId }
        const roomId = checkedRoomId(params.roomId)
        if (type === 'm.room.redaction') {
          const { redacts, ...content } = body
          if (!isEventId(redacts)) throw badJson('redacts is not an event ID')
          return { event_id: await ctx.rooms.speaking.redact(requester, roomId, redacts, content, transaction) }
        }
        const eventId = await ctx.rooms.speaking.say(requester, roomId, { type, content: body }, transaction)
        await ctx.ephemeral.active(requester)
        return { event_id: eventId }
      },
    })
  }

  for (const { method, url } of withAndWithout('/rooms/:roomId/redact/:eventId')) {
    app.route({
      method,
      url,
      schema: redactSchema,
      async handler({ requester, params, body = {} }) {
        const { eventId, txnId } = params
        if (!isEventId(eventId)) throw invalidParam('This is not an event ID')
        const transaction = txnId === undefined ? undefined : { endpoint: `redact ${eventId}`, txnId }
        const roomId = checkedRoomId(params.roomId)
        return { event_id: await ctx.rooms.speaking.redact(requester, roomId, eventId, body, transaction) }
      },
    })
  }
}

/** An endpoint with a transaction ID, and the same without one. */
function withAndWithout(path: string): { method: 'PUT' | 'POST'; url: string }[] {
  return clientPaths(path).flatMap((url) => [
    { method: 'PUT' as const, url: `${url}/:txnId` },
    { method: 'POST' as const, url },
  ])
}

/** @throws `M_INVALID_PARAM` */
export function checkedRoomId(roomId: string): RoomId {
  if (!isRoomId(roomId)) throw invalidParam('This is not a room ID')
  return roomId
}
