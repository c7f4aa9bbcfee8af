import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { MatrixError, missingParam } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { clientPaths } from './versions-of.ts'

const text = Type.Optional(Type.String())
const schema = {
  body: Type.Object({
    type: Type.String(),
    identifier: Type.Optional(Type.Object({})),
    user: text,
    medium: text,
    address: text,
    password: text,
    device_id: Type.Optional(plainText(255)),
    initial_device_display_name: Type.Optional(plainText(255)),
    refresh_token: Type.Optional(Type.Boolean()),
  }),
}
const config = { public: true }

/** Client-server API, "Login" of the legacy API. */
export function login(app: App, ctx: Context): void {
  const { serverName, publicBaseUrl } = ctx.settings
  // The listener's own address might lead clients astray; the operator's does not.
  const wellKnown = publicBaseUrl && { well_known: { 'm.homeserver': { base_url: publicBaseUrl } } }

  for (const path of clientPaths('/login')) {
    app.get(path, { config }, async () => ({ flows: [{ type: 'm.login.password' }] }))

    app.post(path, { schema, config }, async ({ body, ip }) => {
      if (body.type !== 'm.login.password') throw new MatrixError(400, 'M_UNKNOWN', 'Bad login type')
      if (body.password === undefined) throw missingParam('password is missing')
      const device = { deviceId: body.device_id || undefined, displayName: body.initial_device_display_name }
      const session = await ctx.users.login({ named: body, password: body.password, device, ip })
      return {
        user_id: session.userId,
        access_token: session.accessToken,
        device_id: session.deviceId,
        home_server: serverName,
        ...wellKnown,
      }
    })
  }
}
