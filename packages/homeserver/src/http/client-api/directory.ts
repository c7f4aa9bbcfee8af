import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam, notFound } from '../../matrix/errors.ts'
import { isRoomAlias, type RoomAlias, serverNameOf } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

const schema = { params: Type.Object({ alias: Type.String() }) }
const setSchema = { ...schema, body: Type.Object({ room_id: Type.String() }) }
const listSchema = { params: Type.Object({ roomId: Type.String() }) }

/** Client-server API, "Room Aliases". */
export function directory(app: App, ctx: Context): void {
  const { aliases } = ctx.rooms
  for (const path of clientPaths('/directory/room/:alias')) {
    app.get(path, { schema, config: { public: true, costs: 'profile' } }, async ({ params }) => {
      const resolved = await aliases.resolve(checkedAlias(params.alias))
      if (!resolved) throw notFound('There is no such alias')
      return { room_id: resolved.roomId, servers: resolved.servers }
    })

    app.put(path, { schema: setSchema }, async ({ requester, params, body }) => {
      await aliases.set(requester.userId, ownAlias(params.alias, ctx), checkedRoomId(body.room_id))
      return {}
    })

    app.delete(path, { schema, config: { ignoreBody: true } }, async ({ requester, params }) => {
      await aliases.remove(requester.userId, ownAlias(params.alias, ctx))
      return {}
    })
  }

  for (const path of clientPaths('/rooms/:roomId/aliases')) {
    app.get(path, { schema: listSchema, config: { guests: true } }, async ({ requester, params }) => ({
      aliases: await aliases.list(requester.userId, checkedRoomId(params.roomId)),
    }))
  }
}

function checkedAlias(alias: string): RoomAlias {
  if (!isRoomAlias(alias)) throw invalidParam('This is not a room alias')
  return alias
}

function ownAlias(alias: string, { settings }: Context): RoomAlias {
  const checked = checkedAlias(alias)
  if (serverNameOf(checked) !== settings.serverName) throw invalidParam('This alias belongs to another server')
  return checked
}
