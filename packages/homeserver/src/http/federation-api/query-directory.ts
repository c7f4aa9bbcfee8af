import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam, missingParam, notFound } from '../../matrix/errors.ts'
import { isRoomAlias, serverNameOf } from '../../matrix/ids.ts'
import type { App } from '../app.ts'

const schema = { querystring: Type.Object({ room_alias: Type.Optional(Type.String()) }) }

/** `GET /query/directory`: one of our aliases. Server-server API, "Querying for information". */
export function queryDirectory(app: App, ctx: Context): void {
  app.get('/_matrix/federation/v1/query/directory', { schema }, async ({ query: { room_alias: alias } }) => {
    if (alias === undefined) throw missingParam('room_alias is missing')
    if (!isRoomAlias(alias)) throw invalidParam('This is not a room alias')
    const isOurs = serverNameOf(alias) === ctx.settings.serverName
    const resolved = isOurs ? await ctx.rooms.aliases.resolveOwn(alias) : undefined
    if (!resolved) throw notFound('There is no such alias here')
    return { room_id: resolved.roomId, servers: resolved.servers }
  })
}
