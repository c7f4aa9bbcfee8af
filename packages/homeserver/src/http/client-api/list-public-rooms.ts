import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isServerName, type ServerName } from '../../matrix/ids.ts'
import type { DirectoryPage, DirectoryQuery } from '../../rooms/public-rooms.ts'
import type { App } from '../app.ts'
import { missingToken, requesterIfAny } from '../client-auth.ts'
import { directoryBody, directoryQuery, directoryQueryOf, directoryQuerySchema } from '../directory-query.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

const server = Type.Optional(Type.String())
const getSchema = { querystring: Type.Object({ ...directoryQuerySchema, server }) }
const postSchema = { querystring: Type.Object({ server }), body: Type.Optional(directoryBody) }
const roomSchema = { params: Type.Object({ roomId: Type.String() }) }
const publishSchema = { ...roomSchema, body: Type.Optional(Type.Object({ visibility: Type.Optional(Type.String()) })) }

/** Client-server API, "Published room directory". */
export function listPublicRooms(app: App, ctx: Context): void {
  const { directory } = ctx.rooms

  function list(query: DirectoryQuery, server: ServerName | undefined): Promise<DirectoryPage> {
    return server === undefined ? directory.list(query, false) : directory.listOf(server, query)
  }

  for (const path of clientPaths('/publicRooms')) {
    const config = { optionalLogin: true, guests: true, costs: 'profile' } as const
    app.get(path, { schema: getSchema, config }, async (request) => {
      const server = otherServer(request.query.server, ctx)
      // Others are asked only for our own users: who has no account here can ask there.
      if (server !== undefined && !requesterIfAny(request)) throw missingToken()
      return list(directoryQuery(request.query), server)
    })

    app.post(path, { schema: postSchema, config: { guests: true, costs: 'profile' } }, async ({ query, body = {} }) =>
      list(directoryQueryOf(body), otherServer(query.server, ctx)),
    )
  }

  for (const path of clientPaths('/directory/list/room/:roomId')) {
    app.get(path, { schema: roomSchema, config: { public: true, costs: 'profile' } }, async ({ params }) => ({
      visibility: (await directory.isPublished(checkedRoomId(params.roomId))) ? 'public' : 'private',
    }))

    app.put(path, { schema: publishSchema }, async ({ requester, params, body }) => {
      const { visibility = 'public' } = body ?? {}
      if (visibility !== 'public' && visibility !== 'private') throw invalidParam('visibility is public or private')
      await directory.publish(requester.userId, checkedRoomId(params.roomId), visibility === 'public')
      return {}
    })
  }
}

/** The other server whose directory is asked for; `undefined` for ours. */
function otherServer(server: string | undefined, { settings }: Context): ServerName | undefined {
  if (server === undefined || server === '' || server === settings.serverName) return undefined
  if (!isServerName(server)) throw invalidParam('This is not a server name')
  return server
}
