import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam, missingParam, notFound } from '../../matrix/errors.ts'
import { isUserId, serverNameOf } from '../../matrix/ids.ts'
import type { App } from '../app.ts'

const schema = {
  querystring: Type.Object({ user_id: Type.Optional(Type.String()), field: Type.Optional(Type.String()) }),
}

/** `GET /query/profile`: the profile of one of our users. Server-server API, "Querying for information". */
export function queryProfile(app: App, ctx: Context): void {
  app.get('/_matrix/federation/v1/query/profile', { schema }, async ({ query: { user_id: userId, field } }) => {
    if (userId === undefined) throw missingParam('user_id is missing')
    if (!isUserId(userId)) throw invalidParam('This is not a user ID')
    if (serverNameOf(userId) !== ctx.settings.serverName) throw notFound('No such user here')
    const profile = await ctx.users.profile(userId)
    const wanted = field === undefined ? [...profile] : [...profile].filter(([name]) => name === field)
    return Object.fromEntries(wanted)
  })
}
