import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type RawServerDefault } from 'fastify'
import type { Context } from '../context.ts'
import type { Requester } from '../devices/requester.ts'
import { badJson, MatrixError } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import { nestsTooDeeply } from '../matrix/json.ts'
import { clientApi } from './client-api/index.ts'
import { errorHandler } from './errors.ts'
import { federationApi } from './federation-api/index.ts'
import { type Routes, rememberRoutes } from './method-not-allowed.ts'
import { opsApi } from './ops/index.ts'
import { page } from './page.ts'
import { createSpend, limitRates, type RateLimit } from './rate-limits.ts'

/** Fastify with TypeBox: a route's schema gives the types of what the route reads. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route there is. */
    allRoutes: Routes['all']
  }
  interface FastifyRequest {
    /** Set on routes for clients, unless the route is public. */
    requester: Requester
    /** Set on routes for other servers, unless the route is public: who signed the request. */
    origin: ServerName
  }
  interface FastifyContextConfig {
    /** Needs no access token, or no signature. */
    public?: boolean
    /** May be used without an access token; `requester` is then undefined. See `requesterIfAny`. */
    optionalLogin?: boolean
    /** Guests may use it. Client-server API, "Guest Access", "Client behaviour". */
    guests?: boolean
    /** Works even for a locked account. */
    evenLocked?: boolean
    /** Does what others see: not while the account is suspended. */
    notSuspended?: boolean
    /** The body is read and thrown away, whatever it is. */
    ignoreBody?: boolean
    /** The route itself looks for parts of the body that nest too deeply: one of them does not spoil the others. */
    deepParts?: boolean
    /** What it is limited as. */
    costs?: RateLimit
  }
}

/** The largest request body, in bytes, unless a route says otherwise. */
const BODY_LIMIT = 1024 * 1024

const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE, OPTIONS',
  'Access-Control-Allow-Headers': 'X-Requested-With, Content-Type, Authorization',
  'Access-Control-Expose-Headers': 'Retry-After',
}

/** All routes on one app. It is built without listening; `inject()` works at once. */
export async function createApp(ctx: Context): Promise<App> {
  const handleError = errorHandler(ctx.log)
  const app: App = Fastify({
    bodyLimit: BODY_LIMIT,
    routerOptions: { maxParamLength: 1024, ignoreTrailingSlash: false },
    // Coercion and removal would change signed JSON; nothing is coerced but by the route itself.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allowUnionTypes: true } },
    forceCloseConnections: true,
    // Who is behind a reverse proxy is told by that proxy, if it is on this machine or the settings name it.
    trustProxy: ['loopback', ...ctx.settings.trustedProxies],
    // No hook runs for a path that cannot be decoded.
    frameworkErrors: (error, request, reply) => handleError(error, request, reply.headers(CORS)),
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.decorateRequest('requester')
  app.decorateRequest('origin')
  app.setErrorHandler(handleError)
  readBodiesAsJson(app)

  app.addHook('onRequest', async (request, reply) => {
    reply.headers(CORS)
    if (request.method === 'OPTIONS') return reply.code(204).send()
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    // JSON has one encoding; a parameter that says so is one too many for some.
    if (reply.getHeader('content-type') === 'application/json; charset=utf-8')
      reply.header('content-type', 'application/json')
    // A server that stops does not wait for connections to be used again.
    if (ctx.shutdown.aborted) reply.header('Connection', 'close')
    done(null, payload)
  })
  const routes = rememberRoutes(app)
  app.decorate('allRoutes', routes.all)
  app.setNotFoundHandler((request) => {
    const allow = routes.methodsOf(request.url)
    if (allow.length === 0) throw new MatrixError(404, 'M_UNRECOGNIZED', 'Unrecognized request')
    throw new MatrixError(405, 'M_UNRECOGNIZED', 'This method is not allowed here', {
      headers: { Allow: allow.join(', ') },
    })
  })

  const spend = createSpend(ctx)
  limitRates(app, spend)
  await app.register(async (scope) => clientApi(scope as App, ctx))
  await app.register(async (scope) => federationApi(scope as App, ctx, spend))
  await app.register(async (scope) => opsApi(scope as App, ctx))
  await app.register(async (scope) => page(scope as App, ctx))
  await app.ready()
  return app
}

/**
 * Every body is JSON, whatever its content type says: clients are careless there. An empty body is no body.
 * It is read up to the limit, and parsed once.
 */
function readBodiesAsJson(app: App): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (request.routeOptions.config.ignoreBody || body.length === 0) return done(null, undefined)
    let value: unknown
    try {
      // A text that is no UTF-8 would become another one, and nobody would know.
      value = isUtf8(body as Buffer) ? JSON.parse(body.toString('utf8')) : undefined
    } catch {
      value = undefined
    }
    if (value === undefined) {
      return done(new MatrixError(400, 'M_NOT_JSON', 'The request body is not JSON'))
    }
    if (!request.routeOptions.config.deepParts && nestsTooDeeply(value))
      return done(badJson('The request body nests too deeply'))
    done(null, value)
  })
}
