import type { HttpResponse } from '../../src/platform/network.ts'

/** A JSON answer. */
export function jsonResponse(status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse {
  return textResponse(status, JSON.stringify(body), { 'content-type': 'application/json', ...headers })
}

/** An answer with any text. */
export function textResponse(status: number, text: string, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers, body: Buffer.from(text) }
}

/** An answer as the specification's "Standard error response". */
export function errorResponse(status: number, errcode: string, error: string = errcode): HttpResponse {
  return jsonResponse(status, { errcode, error })
}
