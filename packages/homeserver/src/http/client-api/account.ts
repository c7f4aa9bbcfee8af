import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { forbidden, MatrixError } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { optionalBody } from '../optional-body.ts'
import { requireAuth } from '../uia.ts'
import { sessionFields, tokenFields } from './session-fields.ts'
import { clientPaths } from './versions-of.ts'

const auth = Type.Optional(Type.Unknown())
const passwordSchema = {
  body: Type.Object({ auth, new_password: Type.String(), logout_devices: Type.Optional(Type.Boolean()) }),
}
const deactivateSchema = { body: optionalBody(Type.Object({ auth, erase: Type.Optional(Type.Boolean()) })) }
const loginTokenSchema = { body: optionalBody(Type.Object({ auth })) }
const refreshSchema = { body: Type.Object({ refresh_token: Type.String() }) }
const openIdSchema = { params: Type.Object({ userId: Type.String() }) }

/** Client-server API, "Account management", "Refreshing access tokens", "Token-based user login", "OpenID". */
export function account(app: App, ctx: Context): void {
  for (const path of clientPaths('/account/password')) {
    app.post(path, { schema: passwordSchema, config: { costs: 'account' } }, async (request) => {
      const { auth, new_password: password, logout_devices: logoutDevices = true } = request.body
      await requireAuth(ctx, request, auth)
      await ctx.users.changePassword(request.requester, { password, logoutDevices })
      return {}
    })
  }

  for (const path of clientPaths('/account/deactivate')) {
    app.post(path, { schema: deactivateSchema, config: { costs: 'account' } }, async (request) => {
      await requireAuth(ctx, request, request.body?.auth)
      await ctx.users.deactivate(request.requester.userId, request.body?.erase ?? false)
      // Nobody here has a third-party identifier.
      return { id_server_unbind_result: 'success' }
    })
  }

  for (const path of ['/_matrix/client/v3/refresh', '/_matrix/client/v1/refresh']) {
    app.post(path, { schema: refreshSchema, config: { public: true, costs: 'login' } }, async ({ body }) => {
      const session = await ctx.devices.renewSession(body.refresh_token)
      if (!session) throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'Unrecognized refresh token')
      return tokenFields(session)
    })
  }

  app.post(
    '/_matrix/client/v1/login/get_token',
    { schema: loginTokenSchema, config: { costs: 'account' } },
    async (request) => {
      await requireAuth(ctx, request, request.body?.auth)
      const { token, expiresInMs } = await ctx.users.newLoginToken(request.requester.userId)
      return { login_token: token, expires_in_ms: expiresInMs }
    },
  )

  for (const path of clientPaths('/user/:userId/openid/request_token')) {
    app.post(
      path,
      { schema: openIdSchema, config: { guests: true, ignoreBody: true, costs: 'account' } },
      async (request) => {
        const { userId } = request.requester
        if (request.params.userId !== userId) throw forbidden('A token can be had for oneself only')
        const { token, expiresInMs } = await ctx.users.newOpenIdToken(userId)
        const { serverName } = ctx.settings
        return {
          access_token: token,
          token_type: 'Bearer',
          matrix_server_name: serverName,
          expires_in: Math.floor(expiresInMs / 1000),
        }
      },
    )
  }
}

const NONCE = Type.String({ maxLength: 255 })
const adminSchema = {
  body: Type.Object({
    nonce: NONCE,
    username: Type.String(),
    password: Type.String(),
    mac: Type.String({ maxLength: 255 }),
    admin: Type.Optional(Type.Boolean()),
    displayname: Type.Optional(Type.Union([Type.String({ maxLength: 256 }), Type.Null()])),
    user_type: Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()])),
    inhibit_login: Type.Optional(Type.Boolean()),
  }),
}

/** `/_synapse/admin/v1/register`: what the ecosystem's tools make accounts with, by the shared secret of the settings. */
export function sharedSecretRegistration(app: App, ctx: Context): void {
  const path = '/_synapse/admin/v1/register'
  app.get(path, { config: { public: true, costs: 'registration' } }, async () => ({
    nonce: await ctx.users.registrationNonce(),
  }))

  app.post(path, { schema: adminSchema, config: { public: true, costs: 'registration' } }, async ({ body }) => {
    const { userId, session } = await ctx.users.registerWithSharedSecret({
      ...body,
      admin: body.admin ?? false,
      displayName: body.displayname ?? undefined,
      userType: body.user_type ?? undefined,
      inhibitLogin: body.inhibit_login ?? false,
    })
    return { user_id: userId, home_server: ctx.settings.serverName, ...(session && sessionFields(session)) }
  })
}
