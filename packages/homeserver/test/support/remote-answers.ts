import type { JsonObject } from '../../src/matrix/json.ts'
import type { HttpResponse } from '../../src/platform/network.ts'
import type { Answer } from './remote-script.ts'
import { jsonResponse, textResponse } from './responses.ts'

// What a remote can do wrong, as answers for its script.

export type StatusOptions = {
  /** Value of the Retry-After header: seconds, or a date. */
  retryAfter?: number | string
  /** `retry_after_ms` in the body. */
  retryAfterMs?: number
  errcode?: string
  error?: string
}

/** An error with a body of the specification's shape. */
export function status(code: number, options: StatusOptions = {}): Answer {
  const {
    retryAfter,
    retryAfterMs,
    errcode = code === 429 ? 'M_LIMIT_EXCEEDED' : 'M_UNKNOWN',
    error = 'scripted',
  } = options
  const headers: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
  const body = { errcode, error, ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }) }
  return () => jsonResponse(code, body, headers)
}

/** A page, as proxies answer. */
export function html(code = 404): Answer {
  return () => textResponse(code, `<html><h1>${code}</h1></html>`, { 'content-type': 'text/html' })
}

export function redirect(location: string, code = 301): Answer {
  return () => textResponse(code, '', { location })
}

/** 200, and not JSON. */
export const garbage: Answer = () => textResponse(200, '{"user_id": "@b', { 'content-type': 'application/json' })

/** The normal answer with its JSON changed. @param edit gets a copy, which it changes or replaces */
export function edited(edit: (body: JsonObject) => unknown): Answer {
  return (normal) => {
    const body = bodyOf(normal)
    return jsonResponse(normal.status, edit(body) ?? body)
  }
}

export const wrongUser = edited((body) => ({ ...body, user_id: '@somebody.else:wrong.example' }))
export const noStreamId = edited(({ stream_id: _, ...body }) => body)
/** The first device twice. */
export const duplicateDevice = edited((body) => {
  const devices = body.devices as JsonObject[]
  return { ...body, devices: [...devices, devices[0]!] }
})

/** The normal answer made longer with white space, which is still JSON. @param bytes how long */
export function tooLarge(bytes: number): Answer {
  return (normal) => ({ ...normal, body: Buffer.concat([normal.body, Buffer.alloc(bytes, ' ')]) })
}

/** A list of so many devices without keys. */
export function manyDevices(count: number): Answer {
  return edited((body) => ({ ...body, devices: Array.from({ length: count }, (_, n) => ({ device_id: `D${n}` })) }))
}

/** The normal answer, byte by byte. */
export function drip(msPerByte = 1_000): Answer {
  return (normal) => ({ ...normal, dripMs: msPerByte })
}

function bodyOf(response: HttpResponse): JsonObject {
  return JSON.parse(response.body.toString('utf8'))
}
