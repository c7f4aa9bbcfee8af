import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { notFound } from '../../matrix/errors.ts'
import { isUserId, serverNameOf } from '../../matrix/ids.ts'
import type { App } from '../app.ts'

/** `GET /user/devices/{userId}`: one of our users' lists with its stream ID. Server-server API, "Device Management". */
export function userDevices(app: App, ctx: Context): void {
  const schema = { params: Type.Object({ userId: Type.String() }) }
  app.get('/_matrix/federation/v1/user/devices/:userId', { schema }, async (request) => {
    const { userId } = request.params
    const ours = isUserId(userId) && serverNameOf(userId) === ctx.settings.serverName
    if (!ours || !(await ctx.users.exists(userId))) throw notFound('No such user')
    return ctx.deviceLists.localList(userId)
  })
}
