import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { forbidden, notFound } from '../../matrix/errors.ts'
import { isUserId, serverNameOf } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const schema = { params: Type.Object({ userId: Type.String() }) }

/** Client-server API, "Server Administration": where a user was seen, for admins and the user. */
export function admin(app: App, ctx: Context): void {
  for (const path of clientPaths('/admin/whois/:userId')) {
    app.get(path, { schema }, async ({ requester, params: { userId } }) => {
      if (userId !== requester.userId && !requester.isAdmin) throw forbidden('Only admins may ask about others')
      const ours = isUserId(userId) && serverNameOf(userId) === ctx.settings.serverName
      if (!ours || !(await ctx.users.exists(userId))) throw notFound('No such user')
      const devices = await ctx.devices.own.connections(userId)
      const sessions = devices.map(([deviceId, connection]) => {
        return [deviceId, { sessions: [{ connections: connection ? [connection] : [] }] }]
      })
      return { user_id: userId, devices: Object.fromEntries(sessions) }
    })
  }
}
