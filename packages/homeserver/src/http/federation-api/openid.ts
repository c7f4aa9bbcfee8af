import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { App } from '../app.ts'

const schema = { querystring: Type.Object({ access_token: Type.Optional(Type.String()) }) }

/** `GET /openid/userinfo`: who has given a third party this token. Server-server API, "OpenID". */
export function openId(app: App, ctx: Context): void {
  app.get('/_matrix/federation/v1/openid/userinfo', { schema, config: { public: true } }, async ({ query }) => {
    const token = query.access_token
    if (token === undefined) throw new MatrixError(401, 'M_MISSING_TOKEN', 'Missing access token')
    const userId = await ctx.users.openIdUser(token)
    if (!userId) throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'Unknown or expired token')
    return { sub: userId }
  })
}
