import { type HTTPError, MatrixError } from 'matrix-js-sdk'
import type { Device } from 'matrix-js-sdk/lib/models/device.js'

/**
 * How a request for a device list ended.
 *
 * - `arrived`: the homeserver has fetched the list, a sync has brought the news, and the crypto store has its keys.
 * - `pending`: the homeserver has agreed, and the list was not here when the caller's patience ended. Nothing need be
 *   done: it comes by a sync.
 * - `failed`: see {@link RefreshFailure}.
 */
export type RefreshOutcome = RefreshArrival | { outcome: 'pending' } | RefreshFailure

/** The list is here. */
export type RefreshArrival = {
  outcome: 'arrived'
  /** By device ID, as {@link https://matrix-org.github.io/matrix-js-sdk/ | CryptoApi.getUserDeviceInfo} tells them; empty for a client without crypto. */
  devices: ReadonlyMap<string, Device>
}

/**
 * Why a list did not come.
 *
 * Of the other server:
 * - `refused`: it does not tell (403), or knows no such user (404);
 * - `remoteLimited`: it asks our homeserver to wait;
 * - `unreachable`: it could not be reached, or made no sense;
 * - `timeout`: it did not answer in time.
 *
 * Of our own homeserver:
 * - `limited`: too many requests;
 * - `unknownUser`: the user would be one of its own, and is not;
 * - `invalidUserId`: it is not a user ID;
 * - `forbidden`: guests may not ask, or the homeserver does not talk to that server; `errcode` says which;
 * - `unauthenticated`: the access token is not valid any more;
 * - `unsupported`: the homeserver cannot do it;
 * - `unexpected`: anything else; see `httpStatus`, `errcode` and `error`.
 */
export type RefreshFailureReason =
  | 'refused'
  | 'remoteLimited'
  | 'unreachable'
  | 'timeout'
  | 'limited'
  | 'unknownUser'
  | 'invalidUserId'
  | 'forbidden'
  | 'unauthenticated'
  | 'unsupported'
  | 'unexpected'

export type RefreshFailure = {
  outcome: 'failed'
  reason: RefreshFailureReason
  /** For logs and curious people; in part the words of another server. */
  error: string
  errcode: string | null
  httpStatus: number | null
  /** The HTTP status with which the other server answered, if it did. */
  remoteStatus: number | null
  /** Whether the homeserver tries again by itself: the list then comes by a sync, and nobody has to ask. */
  retryScheduled: boolean
  /** Milliseconds until the homeserver tries again, or until it may be asked again; `null` if that is not known. */
  retryAfterMs: number | null
}

const REMOTE_STATUS = 'org.matrix.msc2638.remote_status'
const RETRY_SCHEDULED = 'org.matrix.msc2638.retry_scheduled'

/** What an error answer of the refresh endpoint means. */
export function failureOf(error: HTTPError): RefreshFailure {
  const { errcode = null, data = {} } = error instanceof MatrixError ? error : {}
  const remoteStatus = integer(data[REMOTE_STATUS])
  const retryScheduled = data[RETRY_SCHEDULED] === true
  return {
    outcome: 'failed',
    reason: reasonOf(error.httpStatus, errcode, remoteStatus),
    error: typeof data.error === 'string' ? data.error : error.message,
    errcode,
    httpStatus: error.httpStatus ?? null,
    remoteStatus,
    retryScheduled,
    retryAfterMs: integer(data.retry_after_ms) ?? waitOf(error),
  }
}

/** The failure of a homeserver without the endpoint. */
export function unsupported(): RefreshFailure {
  return {
    outcome: 'failed',
    reason: 'unsupported',
    error: 'The homeserver has no endpoint that fetches device lists again (MSC2638)',
    errcode: null,
    httpStatus: null,
    remoteStatus: null,
    retryScheduled: false,
    retryAfterMs: null,
  }
}

function reasonOf(
  httpStatus: number | undefined,
  errcode: string | null,
  remoteStatus: number | null,
): RefreshFailureReason {
  const isRemote = remoteStatus !== null
  switch (httpStatus) {
    case 400:
      return errcode === 'M_INVALID_PARAM' ? 'invalidUserId' : 'unexpected'
    case 401:
      return 'unauthenticated'
    case 403:
      return isRemote ? 'refused' : 'forbidden'
    case 404:
      return isRemote ? 'refused' : 'unknownUser'
    case 429:
      return isRemote ? 'remoteLimited' : 'limited'
    case 502:
      return 'unreachable'
    case 504:
      return 'timeout'
    default:
      return 'unexpected'
  }
}

/** `Retry-After`, which may be anything. */
function waitOf(error: HTTPError): number | null {
  try {
    return error.getRetryAfterMs()
  } catch {
    return null
  }
}

function integer(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null
}
