import { Type } from 'typebox'
import type { Context } from '../../context.ts'

// At most 255 bytes; no NUL, which PostgreSQL cannot look for.
export const eventId = Type.String({ maxLength: 255, pattern: '^\\$[^\\u0000]+$' })
export const roomId = Type.String({ maxLength: 255, pattern: '^![^\\u0000]+$' })

/** A JSON list of events that are JSON texts already. */
export function listOf(pdus: readonly string[]): string {
  return `[${pdus.join()}]`
}

/** Events in the form of a transaction. */
export function pduTransaction({ settings, clock }: Context, pdus: readonly string[]): string {
  const origin = JSON.stringify(settings.serverName)
  return `{"origin":${origin},"origin_server_ts":${clock.now()},"pdus":${listOf(pdus)}}`
}
