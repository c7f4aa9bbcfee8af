/** What the homeserver answered instead of what was asked for, or that it did not answer (`status` 0). */
export class ApiError extends Error {
  readonly status: number
  readonly errcode: string
  /** How long to wait before asking again (ms), where the server says so. */
  readonly retryAfterMs: number | undefined
  /** Whether the server goes on trying by itself. */
  readonly retryScheduled: boolean
  readonly softLogout: boolean

  constructor(status: number, body: Record<string, unknown>) {
    super(typeof body.error === 'string' ? body.error : `The homeserver answered ${status}`)
    this.status = status
    this.errcode = typeof body.errcode === 'string' ? body.errcode : 'M_UNKNOWN'
    this.retryAfterMs = typeof body.retry_after_ms === 'number' ? body.retry_after_ms : undefined
    this.retryScheduled = body['org.matrix.msc2638.retry_scheduled'] === true
    this.softLogout = body.soft_logout === true
  }
}

/** One request to the homeserver that serves this page. @throws {ApiError} */
export async function ask<Answer>(
  method: 'GET' | 'POST',
  path: string,
  options: { token?: string; body?: unknown; signal?: AbortSignal } = {},
): Promise<Answer> {
  const { token, body, signal } = options
  const response = await fetch(path, {
    method,
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    cache: 'no-store',
    credentials: 'omit',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error
    throw new ApiError(0, { error: 'The homeserver cannot be reached' })
  })
  const answer: unknown = await response.json().catch(() => ({}))
  if (!response.ok) throw new ApiError(response.status, answer as Record<string, unknown>)
  return answer as Answer
}
