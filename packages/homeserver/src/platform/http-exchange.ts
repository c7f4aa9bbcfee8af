import type { Dispatcher, Pool } from 'undici'
import { breakOffError, type HttpRequest, type HttpResponse, NetworkError } from './network.ts'

/** Connections to one server, and how many were opened so far. */
export type ServerPool = { pool: Pool; opened(): number }

/** Methods that may be sent again when nothing has come back. RFC 9110, section 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'PUT', 'DELETE'])

/**
 * One request and its whole answer. It ends at the request's time-out or signal, whatever it is waiting for.
 * @throws {NetworkError}
 */
export async function exchange(server: ServerPool, request: HttpRequest): Promise<HttpResponse> {
  const { timeoutMs, signal } = request
  const { promise: givenUp, reject } = Promise.withResolvers<never>()
  const giving = new AbortController()
  const giveUp = (error: NetworkError) => {
    reject(error)
    giving.abort(error)
  }
  const onAbort = () => giveUp(breakOffError(signal!))
  const timer = setTimeout(() => giveUp(new NetworkError('timeout', `no answer within ${timeoutMs} ms`)), timeoutMs)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  try {
    return await Promise.race([askTwice(server, request, giving.signal), givenUp])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** A kept connection that the server closed just when it was used again says nothing of the server: asks once more. */
async function askTwice(server: ServerPool, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  const openedBefore = server.opened()
  try {
    return await ask(server.pool, request, signal)
  } catch (error) {
    const kept = server.opened() === openedBefore
    if (!kept || !(error instanceof NoAnswer) || !IDEMPOTENT.has(request.method) || signal.aborted) throw error
    return ask(server.pool, request, signal)
  }
}

/** The connection broke before anything came back. */
class NoAnswer extends NetworkError {}

function ask(pool: Pool, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  const { method, path, maxBytes } = request
  return new Promise((resolve, reject) => {
    const body: Buffer[] = []
    let size = 0
    let answer: Pick<HttpResponse, 'status' | 'headers'> | undefined

    function refuse(controller: Dispatcher.DispatchController): void {
      controller.abort(new NetworkError('too_large', `the answer is larger than ${maxBytes} bytes`))
    }

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(controller) {
        const abort = () => controller.abort(signal.reason)
        if (signal.aborted) abort()
        else signal.addEventListener('abort', abort, { once: true })
      },
      onResponseStart(controller, status, headers) {
        answer = { status, headers: flatten(headers) }
        if (Number(answer.headers['content-length']) > maxBytes) refuse(controller)
      },
      onResponseData(controller, chunk) {
        size += chunk.length
        if (size > maxBytes) refuse(controller)
        else body.push(chunk)
      },
      onResponseEnd() {
        resolve({ ...answer!, body: body.length === 1 ? body[0]! : Buffer.concat(body) })
      },
      onResponseError(_, error) {
        reject(asNetworkError(error, answer !== undefined))
      },
    }
    const headers = { ...request.headers, host: request.host }
    pool.dispatch({ method, path, headers, body: request.body ?? null }, handler)
  })
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return flat
}

function asNetworkError(error: Error, answered: boolean): NetworkError {
  if (error instanceof NetworkError) return error
  const { code, message } = error as { code?: string; message: string }
  const detail = code === undefined ? message : `${code}: ${message}`
  return answered ? new NetworkError('connection', detail) : new NoAnswer('connection', detail)
}
