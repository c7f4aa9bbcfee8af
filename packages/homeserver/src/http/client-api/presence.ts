import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { forbidden, invalidParam } from '../../matrix/errors.ts'
import { isUserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { clientPaths } from './versions-of.ts'

/** The longest `status_msg`, in characters. */
const MAX_STATUS_LENGTH = 1_024

const params = Type.Object({ userId: Type.String() })
const readSchema = { params }
const setSchema = {
  params,
  body: Type.Object({
    presence: Type.Enum(['online', 'unavailable', 'offline']),
    status_msg: Type.Optional(Type.Union([plainText(MAX_STATUS_LENGTH), Type.Null()])),
  }),
}

/** Client-server API, "Presence". */
export function presence(app: App, ctx: Context): void {
  for (const path of clientPaths('/presence/:userId/status')) {
    app.get(path, { schema: readSchema }, async ({ requester, params: { userId } }) => {
      if (!isUserId(userId)) throw invalidParam('This is not a user ID')
      return ctx.ephemeral.presenceOf(requester.userId, userId)
    })

    app.put(path, { schema: setSchema }, async ({ requester, params: { userId }, body }) => {
      if (userId !== requester.userId) throw forbidden('This is the presence of somebody else')
      await ctx.ephemeral.setPresence(requester, body.presence, body.status_msg ?? undefined)
      return {}
    })
  }
}
