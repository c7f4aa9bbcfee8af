import type { FastifyRequest } from 'fastify'
import type { Context } from '../context.ts'
import type { Requester } from '../devices/requester.ts'
import { MatrixError, userLocked, userSuspended } from '../matrix/errors.ts'
import type { App } from './app.ts'

/**
 * Requires an access token on every route added to `app` after this, unless the route is public.
 * Client-server API, "Using access tokens".
 */
export function requireAccessToken(app: App, ctx: Context): void {
  app.addHook('onRequest', async (request) => {
    const { config } = request.routeOptions
    if (config.public || request.is404) return
    const token = accessTokenOf(request)
    if (token === undefined) {
      if (config.optionalLogin) return
      throw missingToken()
    }
    const from = { ip: request.ip, userAgent: request.headers['user-agent'] }
    const requester = await ctx.devices.authenticate(token, from)
    if (!requester) throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'Unrecognized access token')
    if (requester === 'expired') {
      const fields = { soft_logout: true }
      throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'The access token has expired', { fields })
    }
    if (requester.isLocked && !config.evenLocked) throw userLocked()
    if (requester.isSuspended && config.notSuspended) throw userSuspended()
    if (requester.isGuest && !config.guests) {
      throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot do this')
    }
    request.requester = requester
  })
}

/** Who asks on a route whose login is optional. */
export const requesterIfAny = (request: FastifyRequest): Requester | undefined => request.requester

/** 401 `M_MISSING_TOKEN` */
export const missingToken = () => new MatrixError(401, 'M_MISSING_TOKEN', 'Missing access token')

/** The token in the Authorization header or, deprecated, in the query. */
function accessTokenOf(request: FastifyRequest): string | undefined {
  const header = request.headers.authorization
  if (header !== undefined) return /^Bearer +(\S+)\s*$/i.exec(header)?.[1]
  const { access_token: token } = request.query as Record<string, unknown>
  return typeof token === 'string' && token !== '' ? token : undefined
}
