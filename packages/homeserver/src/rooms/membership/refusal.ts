import { cleanText } from '../../matrix/clean-text.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { FederationAnswer } from '../../matrix/federation.ts'
import type { ServerName } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'

/** Why a server did not do what it was asked: in its own words, or because no good answer came. */
export type Refusal = { kind: 'refused'; error: MatrixError } | { kind: 'failed' } | { kind: 'unrecognized' }

const FORBIDDEN = new Set(['M_FORBIDDEN', 'M_INVITE_BLOCKED'])
/** What says that a room is of a version that one of the servers does not know. */
const INCOMPATIBLE = new Set(['M_INCOMPATIBLE_ROOM_VERSION', 'M_UNSUPPORTED_ROOM_VERSION'])
const UNABLE = new Set(['M_UNABLE_TO_AUTHORISE_JOIN', 'M_UNABLE_TO_GRANT_JOIN'])

/** What an answer other than a good one means. Server-server API, the errors of "Joining Rooms" and what is like it. */
export function refusalOf(server: ServerName, answer: FederationAnswer): Refusal {
  if (answer.kind === 'failure' || !isObject(answer.body)) return { kind: 'failed' }
  const { status, body } = answer
  const errcode = typeof body.errcode === 'string' ? body.errcode : ''
  if ((status === 404 || status === 405) && errcode === 'M_UNRECOGNIZED') return { kind: 'unrecognized' }
  const words = typeof body.error === 'string' ? cleanText(body.error) : 'refused'
  const refused = (status: number, errcode: string): Refusal => ({
    kind: 'refused',
    error: new MatrixError(status, errcode, `${server}: ${words}`),
  })
  if (status === 403) return refused(403, FORBIDDEN.has(errcode) ? errcode : 'M_FORBIDDEN')
  if (status === 404) return refused(404, 'M_NOT_FOUND')
  if (status === 400 && (INCOMPATIBLE.has(errcode) || UNABLE.has(errcode))) return refused(400, errcode)
  return { kind: 'failed' }
}

/** Whether another server would hardly say anything else. */
export function isFinal(refusal: Refusal): boolean {
  if (refusal.kind !== 'refused') return false
  return refusal.error.status === 403 || INCOMPATIBLE.has(refusal.error.errcode)
}

/** Of several refusals, what the client is told: what says most. */
export function worstOf(refusals: readonly Refusal[]): MatrixError {
  const errors = refusals.flatMap((refusal) => (refusal.kind === 'refused' ? [refusal.error] : []))
  const telling = errors.find(({ status }) => status !== 404)
  if (telling) return telling
  if (refusals.some(({ kind }) => kind !== 'refused')) {
    return new MatrixError(502, 'M_UNKNOWN', 'None of the servers that were asked gave a usable answer')
  }
  return errors[0] ?? new MatrixError(404, 'M_NOT_FOUND', 'No server is known that is in this room')
}
