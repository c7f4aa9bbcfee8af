import type { FederationAnswer, FederationRequest } from '../matrix/federation.ts'
import type { ServerName } from '../matrix/ids.ts'
import { canonicalRequest, tryParseJson } from '../matrix/json.ts'
import { parseRetryAfter } from '../matrix/retry-after.ts'
import { type SigningKey, signText } from '../matrix/signing.ts'
import { formatXMatrix } from '../matrix/x-matrix.ts'
import type { Clock } from '../platform/clock.ts'
import { type HttpResponse, type Network, NetworkError } from '../platform/network.ts'
import type { Destinations } from './destinations.ts'
import type { Discovery } from './discovery.ts'

export type FederationClient = {
  /** Makes a signed request. Whatever becomes of it is a value, and noted for the destination's back-off. */
  request(destination: ServerName, request: FederationRequest): Promise<FederationAnswer>
  /** Whether the settings let us talk to this server. */
  isAllowed(serverName: ServerName): boolean
}

/** The most bytes of an answer that are read unless the request says otherwise. */
const MAX_BYTES = 10 * 1024 * 1024

/** Requests to other servers, signed as the specification says. Server-server API, "Request Authentication". */
export function createFederationClient(parts: {
  clock: Clock
  network: Network
  discovery: Discovery
  destinations: Destinations
  serverName: ServerName
  signingKey: SigningKey
  isAllowed(serverName: ServerName): boolean
}): FederationClient {
  const { clock, network, discovery, destinations, serverName, signingKey, isAllowed } = parts

  function authorization(destination: ServerName, { method, path, body }: FederationRequest): string {
    const signed = canonicalRequest({
      method,
      uri: path,
      origin: serverName,
      destination,
      ...(body ? { content: body } : {}),
    })
    if (signed === undefined) throw new TypeError('the content of a request must not nest deeply')
    const signature = signText(signed, signingKey)
    return formatXMatrix({ origin: serverName, destination, keyId: signingKey.keyId, signature })
  }

  async function send(destination: ServerName, request: FederationRequest): Promise<HttpResponse | 'limited'> {
    const route = await discovery.resolve(destination)
    if (request.admit && !(await request.admit(route.addresses[0]!))) return 'limited'
    const { method, path, body, timeoutMs, maxBytes = MAX_BYTES, signal } = request
    const headers: Record<string, string> = {
      authorization: authorization(destination, request),
      accept: request.accept ?? 'application/json',
    }
    if (body) headers['content-type'] = 'application/json'
    return network.http({
      ...route,
      method,
      path,
      headers,
      timeoutMs,
      maxBytes,
      ...(body ? { body: JSON.stringify(body) } : {}),
      ...(signal ? { signal } : {}),
    })
  }

  /** Notes what the answer says of the destination: 5xx is trouble of its own, 429 a wish, all else is a sign of life. */
  async function note(destination: ServerName, response: HttpResponse, body: unknown): Promise<void> {
    const wait = parseRetryAfter(response.headers, body, clock.now())
    if (response.status === 429) await destinations.recordLimit(destination, wait)
    else if (response.status >= 500) await destinations.recordFailure(destination, `answered ${response.status}`, wait)
    else await destinations.recordSuccess(destination)
  }

  return {
    isAllowed,
    async request(destination, request) {
      if (destination === serverName || !isAllowed(destination)) {
        return { kind: 'failure', failure: 'denied', detail: 'the settings forbid this server' }
      }
      const leave = await destinations.mayRequest(destination, request.urgency ?? 'normal', request.timeoutMs)
      if (!leave.go) {
        return { kind: 'failure', failure: 'backed_off', detail: 'the destination rests', retryAt: leave.retryAt }
      }
      let response: HttpResponse | 'limited'
      try {
        response = await send(destination, request)
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error
        const { failure, message } = error
        // An answer that is too long is an answer; what we broke off ourselves says nothing.
        if (failure === 'too_large') await destinations.recordSuccess(destination)
        else if (failure !== 'aborted') await destinations.recordFailure(destination, `${failure}: ${message}`)
        return { kind: 'failure', failure, detail: message }
      }
      if (response === 'limited') {
        return { kind: 'failure', failure: 'limited', detail: 'our own limit on requests to that address' }
      }
      const { status, headers, body: bytes } = response
      const isMaterial = request.accept !== undefined && status === 200
      const body = bytes.length === 0 || isMaterial ? undefined : tryParseJson(bytes.toString('utf8'))
      await note(destination, response, body)
      return { kind: 'answer', status, headers, body, ...(isMaterial && { bytes }) }
    },
  }
}
