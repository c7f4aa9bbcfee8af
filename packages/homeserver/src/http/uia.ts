import type { FastifyRequest } from 'fastify'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { Challenge } from '../users/uia.ts'

/** 401 with the flows that lead on. Client-server API, "User-interactive API in the REST API". */
export class AuthenticationRequired extends MatrixError {
  readonly #challenge: Challenge

  constructor(challenge: Challenge) {
    super(401, challenge.errcode ?? 'M_UNAUTHORIZED', challenge.error ?? 'User-interactive authentication is needed')
    this.#challenge = challenge
  }

  /** Without an `errcode` unless a stage failed: clients would take it for a failure. */
  override toJSON(): Record<string, unknown> {
    return this.#challenge
  }
}

/**
 * Returns once the logged-in user has confirmed this request with the password. What was confirmed is this method and
 * path, once.
 * @param auth `auth` of the request's body, whatever it is; `undefined` if there was no body
 * @throws {AuthenticationRequired} to go on with; `M_FORBIDDEN`, `M_LIMIT_EXCEEDED`, `M_BAD_JSON`, `M_MISSING_PARAM`
 */
export async function requireAuth(ctx: Context, request: FastifyRequest, auth: unknown): Promise<void> {
  const { userId } = request.requester
  const path = request.url.split('?', 1)[0]
  const challenge = await ctx.users.confirm({
    purpose: `${request.method} ${path} ${userId}`,
    flows: [['m.login.password']],
    userId,
    ip: request.ip,
    auth,
  })
  if (challenge) throw new AuthenticationRequired(challenge)
}
