import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { invalidParam, MatrixError } from '../matrix/errors.ts'
import type { Logger } from '../platform/logger.ts'

/** Turns whatever a route threw into the answer the specification asks for; what nobody expected is logged. */
export function errorHandler(log: Logger) {
  return (error: FastifyError | MatrixError, request: FastifyRequest, reply: FastifyReply): void => {
    const known = error instanceof MatrixError ? error : fromFastify(error)
    if (!known) {
      log.error(
        { err: error, method: request.method, route: request.routeOptions.url },
        'a request failed unexpectedly',
      )
      reply.code(500).send({ errcode: 'M_UNKNOWN', error: 'Internal server error' })
      return
    }
    reply.code(known.status).headers(known.headers).send(known.toJSON())
  }
}

/** The errors that Fastify raises itself while it reads a request. */
function fromFastify(error: FastifyError): MatrixError | undefined {
  if (error.validation) {
    const where = error.validationContext === 'body' ? 'M_BAD_JSON' : 'M_INVALID_PARAM'
    return new MatrixError(400, where, error.message)
  }
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new MatrixError(413, 'M_TOO_LARGE', 'The request body is too large')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new MatrixError(400, 'M_NOT_JSON', 'The request body does not have the length it was announced with')
    case 'FST_ERR_BAD_URL':
      return invalidParam('The path cannot be decoded')
  }
  const status = error.statusCode
  if (status !== undefined && status >= 400 && status < 500) return new MatrixError(status, 'M_UNKNOWN', error.message)
  return undefined
}
