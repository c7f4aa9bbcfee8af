import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { RefreshOutcome } from '../../device-lists/refresh.ts'
import { describeFailure } from '../../device-lists/relay.ts'
import { forbidden, invalidParam, limitExceeded, MatrixError, notFound } from '../../matrix/errors.ts'
import { isUserId, type UserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'

/** Every route that the proposal has had, oldest last. `docs/api.md` documents the first. */
const POST_ROUTES = [
  '/_matrix/client/unstable/org.matrix.msc2638/user/:userId/devices/refresh',
  '/_matrix/client/v3/user/:userId/devices/refresh',
  '/_matrix/client/r0/user/:userId/devices/refresh',
]
const GET_ROUTES = [
  '/_matrix/unstable/org.matrix.msc2638/user/:userId/devices',
  '/_matrix/client/v3/user/:userId/devices',
  '/_matrix/client/r0/user/:userId/devices',
  '/_matrix/unstable/org.matrix.mscXXXX/user/:userId/devices',
]
const STATUS_ROUTE = '/_matrix/client/unstable/org.matrix.msc2638/user/:userId/devices/refresh'

const schema = { params: Type.Object({ userId: Type.String() }) }

/** MSC2638: clients ask for a remote user's device list to be fetched again; and our extension, how it stands. */
export function deviceListRefresh(app: App, ctx: Context): void {
  const routes = [
    ...POST_ROUTES.map((url) => ({ method: 'POST' as const, url })),
    ...GET_ROUTES.map((url) => ({ method: 'GET' as const, url })),
  ]
  for (const { method, url } of routes) {
    app.route({
      method,
      url,
      schema,
      config: { ignoreBody: true },
      async handler(request, reply) {
        const { userId } = request.params as { userId: string }
        const outcome = await ctx.deviceLists.refresh(request.requester.userId, checkedUserId(userId))
        if (outcome.kind !== 'accepted') throw errorOf(outcome)
        return reply.code(202).send({})
      },
    })
  }

  app.get(STATUS_ROUTE, { schema }, async (request) => {
    const status = await ctx.deviceLists.status(request.requester.userId, checkedUserId(request.params.userId))
    if (!status) throw notFound('No such user')
    return status
  })
}

function checkedUserId(userId: string): UserId {
  if (!isUserId(userId)) throw invalidParam('Not a user ID')
  return userId
}

function errorOf(outcome: Exclude<RefreshOutcome, { kind: 'accepted' }>): MatrixError {
  switch (outcome.kind) {
    case 'unknown local user':
      return notFound('No such user')
    case 'denied':
      return forbidden('This server does not talk to that server')
    case 'limited':
      return limitExceeded(outcome.retryAfterMs)
    case 'failed': {
      const { failure, serverName, retryAfterMs } = outcome
      const { status, errcode, error } = describeFailure(failure, serverName)
      const fields = {
        'org.matrix.msc2638.retry_scheduled': true,
        retry_after_ms: retryAfterMs,
        ...(failure.status === null ? {} : { 'org.matrix.msc2638.remote_status': failure.status }),
      }
      const headers = status === 429 ? { 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) } : {}
      return new MatrixError(status, errcode, error, { fields, headers: headers as Record<string, string> })
    }
  }
}
