/**
 * An error that a caller may see: an HTTP status, an `errcode` of the specification and a text. Anything else that is
 * thrown is a bug and answered 500 `M_UNKNOWN`. Client-server API, "Standard error response".
 */
export class MatrixError extends Error {
  readonly status: number
  readonly errcode: string
  /** Further members of the body, such as `retry_after_ms`. */
  readonly fields: Record<string, unknown>
  /** Headers of the answer, such as `Retry-After`. */
  readonly headers: Record<string, string>

  constructor(
    status: number,
    errcode: string,
    error: string,
    extra: { fields?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(error)
    this.name = 'MatrixError'
    this.status = status
    this.errcode = errcode
    this.fields = extra.fields ?? {}
    this.headers = extra.headers ?? {}
  }

  /** The body of the answer. */
  toJSON(): Record<string, unknown> {
    return { ...this.fields, errcode: this.errcode, error: this.message }
  }
}

/** 400 `M_INVALID_PARAM` */
export const invalidParam = (error: string) => new MatrixError(400, 'M_INVALID_PARAM', error)
/** 400 `M_MISSING_PARAM` */
export const missingParam = (error: string) => new MatrixError(400, 'M_MISSING_PARAM', error)
/** 400 `M_BAD_JSON` */
export const badJson = (error: string) => new MatrixError(400, 'M_BAD_JSON', error)
/** 403 `M_FORBIDDEN` */
export const forbidden = (error: string) => new MatrixError(403, 'M_FORBIDDEN', error)
/** 404 `M_NOT_FOUND` */
export const notFound = (error: string) => new MatrixError(404, 'M_NOT_FOUND', error)
/** 401 `M_USER_LOCKED`. Client-server API, "Account locking". */
export const userLocked = () =>
  new MatrixError(401, 'M_USER_LOCKED', 'This account has been locked', { fields: { soft_logout: true } })
/** 403 `M_USER_SUSPENDED`. Client-server API, "Account suspension". */
export const userSuspended = () =>
  new MatrixError(403, 'M_USER_SUSPENDED', 'You cannot perform this action while suspended')
/** 401 `M_UNAUTHORIZED`: a federation request that is not signed as it must be */
export const unauthorized = (error: string) => new MatrixError(401, 'M_UNAUTHORIZED', error)

/**
 * 429 `M_LIMIT_EXCEEDED`
 * @param retryAfterMs milliseconds until it may be tried again; the header carries them as whole seconds, rounded up
 */
export function limitExceeded(retryAfterMs: number, error = 'Too many requests'): MatrixError {
  return new MatrixError(429, 'M_LIMIT_EXCEEDED', error, {
    fields: { retry_after_ms: retryAfterMs },
    headers: { 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) },
  })
}
