import { type Static, Type } from 'typebox'
import type { Context } from '../../context.ts'
import { MatrixError, missingParam } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { sessionFields } from './session-fields.ts'
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
    token: text,
    device_id: Type.Optional(plainText(255)),
    initial_device_display_name: Type.Optional(plainText(255)),
    refresh_token: Type.Optional(Type.Boolean()),
  }),
}
const config = { public: true, costs: 'login' } as const

/** Client-server API, "Login" of the legacy API. */
export function login(app: App, ctx: Context): void {
  const { serverName, publicBaseUrl } = ctx.settings
  // The listener's own address might lead clients astray; the operator's does not.
  const wellKnown = publicBaseUrl && { well_known: { 'm.homeserver': { base_url: publicBaseUrl } } }

  for (const path of clientPaths('/login')) {
    app.get(path, { config }, async () => ({
      flows: [{ type: 'm.login.password' }, { type: 'm.login.token', get_login_token: true }],
    }))

    app.post(path, { schema, config }, async ({ body, ip }) => {
      const session = await logIn(body, ip)
      return { user_id: session.userId, ...sessionFields(session), home_server: serverName, ...wellKnown }
    })
  }

  async function logIn(body: Static<typeof schema.body>, ip: string) {
    const device = {
      deviceId: body.device_id || undefined,
      displayName: body.initial_device_display_name,
      renewable: body.refresh_token,
    }
    switch (body.type) {
      case 'm.login.password':
        if (body.password === undefined) throw missingParam('password is missing')
        return ctx.users.login({ named: body, password: body.password, device, ip })
      case 'm.login.token':
        if (body.token === undefined) throw missingParam('token is missing')
        return ctx.users.loginWithToken({ token: body.token, device, ip })
      default:
        throw new MatrixError(400, 'M_UNKNOWN', 'Bad login type')
    }
  }
}
