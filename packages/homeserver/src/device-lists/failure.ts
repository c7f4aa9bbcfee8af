import { cleanText } from '../matrix/clean-text.ts'
import type { FederationAnswer } from '../matrix/federation.ts'
import { isObject } from '../matrix/json.ts'

/**
 * Why a list could not be fetched, as it is kept in the ledger. `detail` is for operators only.
 * - `refused`: the remote says that this user is not for us (403, 404); says nothing about its other users
 * - `limited`: it asks us to wait (429)
 * - `timeout`, `down`: no usable answer; the destination itself is in trouble
 * - `invalid`: it answered, but not with a list that can be used
 * - `limited_here`: our own bound on outgoing requests; no request was made
 */
export type FetchFailure = {
  kind: 'refused' | 'limited' | 'timeout' | 'down' | 'invalid' | 'limited_here'
  /** The remote's HTTP status, if there was an answer. */
  status: number | null
  errcode: string | null
  /** The remote's own words, cleaned; for `refused` only. */
  message: string | null
  detail: string
  at: number
}

/** What a fetch failure means for other users of the same server. */
export const isDestinationFailure = (failure: FetchFailure) => failure.kind === 'timeout' || failure.kind === 'down'

/** Would make a client believe that its own session or account is at fault. */
const ABOUT_THE_CALLER =
  /^M_(UNKNOWN_TOKEN|MISSING_TOKEN|UNAUTHORIZED|USER_(DEACTIVATED|LOCKED|SUSPENDED)|CONSENT_NOT_GIVEN|GUEST_ACCESS_FORBIDDEN)$/

/**
 * What an answer other than a good list means.
 * @param now epoch ms
 */
export function failureOf(answer: FederationAnswer, now: number): FetchFailure {
  const failure = (kind: FetchFailure['kind'], detail: string, more: Partial<FetchFailure> = {}): FetchFailure => ({
    kind,
    status: null,
    errcode: null,
    message: null,
    detail,
    at: now,
    ...more,
  })
  if (answer.kind === 'failure') {
    if (answer.failure === 'limited') return failure('limited_here', answer.detail)
    if (answer.failure === 'too_large') return failure('invalid', answer.detail)
    return failure(answer.failure === 'timeout' ? 'timeout' : 'down', `${answer.failure}: ${answer.detail}`)
  }
  const { status, body } = answer
  const errcode = errcodeOf(body)
  const detail = `answered ${status}${errcode ? ` ${errcode}` : ''}`
  if (status === 429) return failure('limited', detail, { status })
  if (status === 403 || (status === 404 && errcode === 'M_NOT_FOUND')) {
    const relayed = errcode && !ABOUT_THE_CALLER.test(errcode) ? errcode : 'M_FORBIDDEN'
    return failure('refused', detail, { status, errcode: relayed, message: messageOf(body) })
  }
  return failure(status >= 500 ? 'down' : 'invalid', detail, { status })
}

/** A failure made of a 200 whose body is no usable list. */
export function invalidList(why: string, now: number): FetchFailure {
  return { kind: 'invalid', status: 200, errcode: null, message: null, detail: why, at: now }
}

function errcodeOf(body: unknown): string | undefined {
  if (!isObject(body) || typeof body.errcode !== 'string') return undefined
  return /^[A-Za-z0-9_.]{1,100}$/.test(body.errcode) ? body.errcode : undefined
}

function messageOf(body: unknown): string | null {
  if (!isObject(body) || typeof body.error !== 'string') return null
  return cleanText(body.error)
}
