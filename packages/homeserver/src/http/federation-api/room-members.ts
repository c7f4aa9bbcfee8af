import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { badJson, invalidParam } from '../../matrix/errors.ts'
import { isEventId, isRoomId, isUserId } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'
import type { App } from '../app.ts'

const makeSchema = {
  params: Type.Object({ roomId: Type.String(), userId: Type.String() }),
  querystring: Type.Object({ ver: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])) }),
}
const sendSchema = {
  params: Type.Object({ roomId: Type.String(), eventId: Type.String() }),
  body: Type.Unsafe<Record<string, unknown>>(Type.Object({})),
}

/** Server-server API, "Joining Rooms", "Knocking upon a room", "Inviting to a room", "Leaving Rooms". */
export function roomMembers(app: App, ctx: Context): void {
  const { forServers } = ctx.rooms.members

  for (const kind of ['join', 'leave', 'knock'] as const) {
    app.get(
      `/_matrix/federation/v1/make_${kind}/:roomId/:userId`,
      { schema: makeSchema },
      ({ origin, params, query }) => {
        const { roomId, userId } = params
        if (!isRoomId(roomId) || !isUserId(userId)) throw invalidParam('This is not a room ID with a user ID')
        return forServers.template(kind, origin, { roomId, userId, versions: [query.ver ?? '1'].flat() })
      },
    )
  }

  const send = (path: string, handle: (sent: Sent) => Promise<unknown>) =>
    app.put(`/_matrix/federation/${path}/:roomId/:eventId`, { schema: sendSchema }, async (request, reply) => {
      const { origin, body } = request
      return reply.type('application/json').send(await handle({ origin, ...ids(request.params), event: body }))
    })
  send('v1/send_join', async ({ origin, ...sent }) => `[200,${await forServers.join(origin, sent)}]`)
  send('v2/send_join', ({ origin, ...sent }) => forServers.join(origin, sent))
  send('v1/send_leave', async ({ origin, ...sent }) => {
    await forServers.leave(origin, sent)
    return [200, {}]
  })
  send('v2/send_leave', async ({ origin, ...sent }) => {
    await forServers.leave(origin, sent)
    return {}
  })
  send('v1/send_knock', async ({ origin, ...sent }) => ({ knock_room_state: await forServers.knock(origin, sent) }))

  send('v1/invite', async ({ origin, event, ...sent }) => {
    const unsigned = isObject(event) ? event.unsigned : undefined
    const inviteRoomState = isObject(unsigned) ? unsigned.invite_room_state : undefined
    const roomVersion = oldVersionIn(inviteRoomState)
    return [200, { event: await forServers.invite(origin, { ...sent, event, roomVersion, inviteRoomState }) }]
  })
  send('v2/invite', async ({ origin, event: body, ...sent }) => {
    const { room_version: roomVersion, event, invite_room_state: inviteRoomState } = body as Record<string, unknown>
    if (typeof roomVersion !== 'string') throw badJson('room_version is missing')
    return { event: await forServers.invite(origin, { ...sent, event, roomVersion, inviteRoomState }) }
  })
}

type Sent = ReturnType<typeof ids> & { origin: Parameters<Context['rooms']['acl']['denies']>[1]; event: unknown }

/** Whoever uses the old endpoint does not say the version, which is one of the first two: the create event does. */
function oldVersionIn(inviteRoomState: unknown): string {
  const events = Array.isArray(inviteRoomState) ? inviteRoomState.filter(isObject) : []
  const create = events.find(({ type }) => type === 'm.room.create')?.content
  return isObject(create) && create.room_version === '2' ? '2' : '1'
}

function ids({ roomId, eventId }: { roomId: string; eventId: string }) {
  if (!isRoomId(roomId) || !isEventId(eventId)) throw invalidParam('This is not a room ID with an event ID')
  return { roomId, eventId }
}
