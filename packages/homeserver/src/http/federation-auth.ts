import type { FastifyRequest } from 'fastify'
import type { Context } from '../context.ts'
import { forbidden, invalidParam, unauthorized } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import { canonicalRequest } from '../matrix/json.ts'
import { verifyText } from '../matrix/signing.ts'
import { parseXMatrix } from '../matrix/x-matrix.ts'
import { networkOf } from '../platform/network-of.ts'
import type { App } from './app.ts'
import type { Spend } from './rate-limits.ts'

/**
 * Requires that another server has signed the request, on every route added to `app` after this unless it is public.
 * Server-server API, "Request Authentication".
 */
export function requireSignature(app: App, ctx: Context, spend: Spend): void {
  // After the body was parsed, which is part of what is signed, and before anything looks at it.
  app.addHook('preValidation', async (request) => {
    if (request.routeOptions.config.public || request.is404) return
    request.origin = await signerOf(request, ctx, () => spend('strangers', networkOf(request.ip)))
    await spend('federation', request.origin)
    await ctx.federation.destinations.heardFrom(request.origin)
    ctx.deviceLists.heardFrom(request.origin)
  })
}

/** @param payFailure called before a request is refused that has made us look for keys; may throw */
async function signerOf(request: FastifyRequest, ctx: Context, payFailure: () => Promise<void>): Promise<ServerName> {
  const header = parseXMatrix(request.headers.authorization ?? '')
  if (!header) throw unauthorized('Missing or malformed X-Matrix Authorization header')
  if (header === 'bad name') throw invalidParam('The X-Matrix header names what is not a server')
  const { origin, destination, keyId, signature } = header
  const { serverName } = ctx.settings
  // Servers of before 2021 do not name the destination.
  if (destination !== undefined && destination !== serverName) throw unauthorized('The request is for another server')
  if (origin === serverName) throw unauthorized('The request cannot be of this server')
  if (!ctx.federation.isAllowed(origin)) throw forbidden('This server does not talk to that server')
  const signed = canonicalRequest({
    method: request.method,
    uri: request.raw.url,
    origin,
    destination: serverName,
    ...(request.body === undefined ? {} : { content: request.body }),
  })
  const verifyKey = signed === undefined ? undefined : await ctx.federation.keyRing.keyFor(origin, keyId)
  if (!verifyKey || !verifyText(signed!, signature, verifyKey.key)) {
    await payFailure()
    throw unauthorized('The signature could not be verified')
  }
  return origin
}
