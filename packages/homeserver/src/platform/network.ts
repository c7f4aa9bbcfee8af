/**
 * The network as the server sees it: HTTP requests to an address that was checked before, and DNS. Production gives
 * real sockets (`system-network.ts`), tests a network in memory that drops, delays and partitions.
 */
export type Network = { http: HttpFetch; dns: Dns }

/** One HTTP request. Redirects are not followed: the caller decides, since each hop has to be checked. */
export type HttpRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Where the socket goes: IP addresses that the caller has already checked, tried in order. */
  addresses: readonly string[]
  port: number
  /** Name for SNI and for the certificate check; an IP literal is checked as an IP, without SNI. */
  tlsName: string
  /** Value of the Host header. */
  host: string
  /** Path with query, as it goes on the wire. */
  path: string
  headers: Record<string, string>
  body?: string
  /** Milliseconds for the whole exchange, the body's last byte included. */
  timeoutMs: number
  /** Bytes of the body that are read at most; a longer one fails with `too_large`. */
  maxBytes: number
  /** Breaks the request off; it fails with the signal's reason where that is a `NetworkError`, else with `aborted`. */
  signal?: AbortSignal
}

/** Header names are in lower case; a header that came several times is joined by a comma. */
export type HttpResponse = { status: number; headers: Record<string, string>; body: Buffer }

/** @throws {NetworkError} when there is no complete answer */
type HttpFetch = (request: HttpRequest) => Promise<HttpResponse>

export type SrvRecord = { name: string; port: number; priority: number; weight: number }

export type Dns = {
  /** Addresses (IPv4 and IPv6) of a host name, as literals. @throws {NetworkError} `name` if there are none */
  addresses(hostname: string): Promise<string[]>
  /** SRV records of a name; an empty list if there are none. @throws {NetworkError} `name` if the lookup failed */
  srv(name: string): Promise<SrvRecord[]>
}

/** Why there was no answer. */
export type NetworkFailure = 'timeout' | 'connection' | 'tls' | 'name' | 'too_large' | 'forbidden_address' | 'aborted'

/** What a request fails with that was broken off. */
export function breakOffError({ reason }: AbortSignal): NetworkError {
  return reason instanceof NetworkError ? reason : new NetworkError('aborted', 'given up')
}

/** No complete answer came. `message` is for the operator; it never reaches a client. */
export class NetworkError extends Error {
  readonly failure: NetworkFailure
  constructor(failure: NetworkFailure, message: string) {
    super(message)
    this.name = 'NetworkError'
    this.failure = failure
  }
}
