import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { UserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const schema = {
  params: Type.Object({
    userId: Type.Unsafe<UserId>(Type.String()),
    roomId: Type.Optional(Type.String()),
    type: Type.String(),
  }),
}
const changeSchema = { ...schema, body: Type.Object({}) }
const PATHS = ['/user/:userId/account_data/:type', '/user/:userId/rooms/:roomId/account_data/:type']

/** Client-server API, "Client Config". */
export function accountData(app: App, ctx: Context): void {
  for (const path of PATHS.flatMap(clientPaths)) {
    app.get(path, { schema }, async ({ requester, params }) =>
      ctx.users.accountData(requester.userId, { roomId: undefined, ...params }),
    )

    app.put(path, { schema: changeSchema }, async ({ requester, params, body }) => {
      await ctx.users.setAccountData(requester.userId, { roomId: undefined, ...params }, body)
      return {}
    })
  }
}
