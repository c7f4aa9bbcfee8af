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
/** What says that the request was wrong, which was not the client's; or that the client's own session is. */
const NOT_FOR_CLIENTS =
  /^M_(MISSING_PARAM|INVALID_PARAM|BAD_JSON|NOT_JSON|UNKNOWN|UNRECOGNIZED|UNKNOWN_TOKEN|MISSING_TOKEN|UNAUTHORIZED|USER_\w+)$/

/** What an answer other than a good one means. Server-server API, the errors of "Joining Rooms" and what is like it. */
export function refusalOf(server: ServerName, answer: FederationAnswer): Refusal {
  if (answer.kind === 'failure') return { kind: 'failed' }
  const { status } = answer
  const body = isObject(answer.body) ? answer.body : {}
  const errcode = typeof body.errcode === 'string' && /^[A-Z0-9_.]{1,100}$/.test(body.errcode) ? body.errcode : ''
  const isNoEndpoint = errcode === 'M_UNRECOGNIZED' || errcode === ''
  if ((status === 404 || status === 405) && isNoEndpoint) return { kind: 'unrecognized' }
  const words = typeof body.error === 'string' ? cleanText(body.error) : 'refused'
  const fields = typeof body.room_version === 'string' ? { room_version: cleanText(body.room_version) } : {}
  const refused = (status: number, errcode: string): Refusal => ({
    kind: 'refused',
    error: new MatrixError(status, errcode, `${server}: ${words}`, INCOMPATIBLE.has(errcode) ? { fields } : {}),
  })
  if (status === 403) return refused(403, FORBIDDEN.has(errcode) ? errcode : 'M_FORBIDDEN')
  if (status === 404) return refused(404, 'M_NOT_FOUND')
  if (status === 400 && errcode !== '' && !NOT_FOR_CLIENTS.test(errcode)) return refused(400, errcode)
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
