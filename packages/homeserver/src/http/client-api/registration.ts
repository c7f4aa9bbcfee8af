import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { forbidden, invalidParam, missingParam } from '../../matrix/errors.ts'
import type { UserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { AuthenticationRequired } from '../uia.ts'
import { sessionFields } from './session-fields.ts'
import { clientPaths } from './versions-of.ts'

const registerSchema = {
  querystring: Type.Object({ kind: Type.Optional(Type.String()) }),
  body: Type.Object({
    auth: Type.Optional(Type.Unknown()),
    username: Type.Optional(Type.String()),
    password: Type.Optional(Type.String()),
    device_id: Type.Optional(plainText(255)),
    initial_device_display_name: Type.Optional(plainText(255)),
    inhibit_login: Type.Optional(Type.Boolean()),
    refresh_token: Type.Optional(Type.Boolean()),
    guest_access_token: Type.Optional(Type.String()),
  }),
}
const availableSchema = { querystring: Type.Object({ username: Type.Optional(Type.String()) }) }
const validitySchema = { querystring: Type.Object({ token: Type.Optional(Type.String()) }) }
const config = { public: true, costs: 'registration' } as const

/** Client-server API, "Account registration" of the legacy API, and "Token-authenticated registration". */
export function registration(app: App, ctx: Context): void {
  for (const path of clientPaths('/register')) {
    app.post(path, { schema: registerSchema, config }, async (request) => {
      const { body } = request
      if (isGuest(request.query.kind)) {
        const { userId, session } = await ctx.users.registerGuest(body.initial_device_display_name)
        return { user_id: userId, home_server: ctx.settings.serverName, ...sessionFields(session) }
      }
      const wish = {
        username: body.username,
        password: body.password,
        deviceId: body.device_id || undefined,
        displayName: body.initial_device_display_name,
        inhibitLogin: body.inhibit_login,
        renewable: body.refresh_token,
        guest: body.guest_access_token === undefined ? undefined : await guestOf(ctx, request, body.guest_access_token),
      }
      const outcome = await ctx.users.register(wish, body.auth, request.ip)
      if (outcome.kind === 'challenge') throw new AuthenticationRequired(outcome.challenge)
      const { userId, session } = outcome
      return {
        user_id: userId,
        home_server: ctx.settings.serverName,
        ...(session && sessionFields(session)),
      }
    })
  }

  for (const path of clientPaths('/register/available')) {
    app.get(path, { schema: availableSchema, config }, async ({ query }) => {
      if (query.username === undefined) throw missingParam('username is missing')
      await ctx.users.requireAvailable(query.username)
      return { available: true }
    })
  }

  app.get(
    '/_matrix/client/v1/register/m.login.registration_token/validity',
    { schema: validitySchema, config },
    async ({ query, ip }) => {
      if (query.token === undefined) throw missingParam('token is missing')
      return { valid: await ctx.users.isRegistrationTokenValid(query.token, ip) }
    },
  )
}

/** Client-server API, "Guest Access": a guest who becomes a user. @throws `M_FORBIDDEN` if the token is not a guest's */
async function guestOf(ctx: Context, request: FastifyRequest, token: string): Promise<UserId> {
  const userAgent = request.headers['user-agent']
  const guest = await ctx.devices.authenticate(token, { ip: request.ip, userAgent })
  if (guest && guest !== 'expired' && guest.isGuest) return guest.userId
  throw forbidden('This is not the access token of a guest')
}

function isGuest(kind = 'user'): boolean {
  if (kind !== 'user' && kind !== 'guest') throw invalidParam('kind is neither user nor guest')
  return kind === 'guest'
}
