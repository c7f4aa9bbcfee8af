import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { Requester } from '../../devices/requester.ts'
import { forbidden, notFound } from '../../matrix/errors.ts'
import { isUserId, serverNameOf } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const schema = { params: Type.Object({ userId: Type.String() }) }

/** Client-server API, "Server Administration": where a user was seen, for admins and the user; accounts locked and suspended. */
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
  for (const [end, kind] of [
    ['lock', 'locked'],
    ['suspend', 'suspended'],
  ] as const) {
    const path = `/_matrix/client/v1/admin/${end}/:userId`
    app.get(path, { schema }, async ({ requester, params: { userId } }) => {
      requireAdmin(requester)
      return { [kind]: await ctx.users.isModerated(kind, userId) }
    })
    const body = Type.Object({ [kind]: Type.Boolean() })
    app.put(path, { schema: { ...schema, body } }, async ({ requester, params: { userId }, body }) => {
      requireAdmin(requester)
      const on = body[kind]!
      await ctx.users.moderate(kind, requester.userId, userId, on)
      return { [kind]: on }
    })
  }
}

/** Before anything is looked up: whoever is not an admin learns nothing of who there is. */
export function requireAdmin({ isAdmin }: Requester): void {
  if (!isAdmin) throw forbidden('Only admins may do this')
}
