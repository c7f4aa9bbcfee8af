import type { JsonObject } from './json.ts'

/** An ephemeral data unit as it goes on the wire. Server-server API, "EDUs". */
export type Edu = { edu_type: string; content: JsonObject }

/** One signed request to another server. */
export type FederationRequest = {
  method: 'GET' | 'POST' | 'PUT'
  /** Path with query, percent-encoded, beginning with `/_matrix/`. */
  path: string
  body?: object
  /** What kind of answer is wanted; JSON, if left out. Of another kind, the answer has its bytes too. */
  accept?: string
  /** Milliseconds for the whole exchange. */
  timeoutMs: number
  /** Bytes of the answer that are read at most. */
  maxBytes?: number
  /**
   * `normal`: not while the destination is backed off, and one probe at a time once its wait is over.
   * `insist`: also while it is backed off, because a person asked. Both wait for an unexpired `Retry-After`.
   */
  urgency?: 'normal' | 'insist'
  /** Asked just before connecting, with the address: `false` gives up with `limited`. */
  admit?: (address: string) => Promise<boolean>
  signal?: AbortSignal
}

/** Why no answer came. `backed_off`: no request was made; `denied`: the settings forbid this server. */
type FederationFailure =
  | 'timeout'
  | 'connection'
  | 'tls'
  | 'name'
  | 'too_large'
  | 'forbidden_address'
  | 'aborted'
  | 'denied'
  | 'backed_off'
  | 'limited'

/** What became of it. Expected outcomes are values: asking another server throws only on a bug. */
export type FederationAnswer =
  | {
      kind: 'answer'
      status: number
      /** Names in lower case. */
      headers: Record<string, string>
      /** The parsed body; `undefined` if it was not JSON. */
      body: unknown
      /** The body as it came, where something else than JSON was wanted. */
      bytes?: Buffer
    }
  | {
      kind: 'failure'
      failure: FederationFailure
      /** For the operator only; never shown to a client. */
      detail: string
      /** For `backed_off`: when (epoch ms) a request may go out again. */
      retryAt?: number
    }
