import { parseServerName } from '../../src/matrix/ids.ts'
import { canonicalRequest, tryParseJson } from '../../src/matrix/json.ts'
import { type SigningKey, signText, verifyJson, verifyKeyFrom, verifyText } from '../../src/matrix/signing.ts'
import type { Clock } from '../../src/platform/clock.ts'
import type { HttpRequest, HttpResponse, Network } from '../../src/platform/network.ts'

// X-Matrix from the specification and not from the server's own code, so that an error there is noticed here.
// Server-server API, "Request Authentication".

/** A request as it is signed. `text` goes over the wire in place of the body as it is written usually. */
export type SignedParts = { method: string; path: string; body?: unknown; text?: string }
export type ReceivedRequest = Pick<HttpRequest, 'method' | 'path' | 'headers' | 'body'>

/** The value of the Authorization header. */
export function authorizationOf(origin: string, key: SigningKey, destination: string, parts: SignedParts): string {
  const sig = signText(signedText(origin, destination, parts), key)
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${sig}"`
}

/** Sends a request to a server where its name says: no `.well-known`, no SRV. */
export async function sendTo(
  network: Network,
  destination: string,
  { method, path, body, text = JSON.stringify(body) }: SignedParts,
  headers: Record<string, string> = {},
): Promise<HttpResponse> {
  const { host, port = 8448, kind } = parseServerName(destination)!
  const addresses = kind === 'name' ? await network.dns.addresses(host) : [host]
  return network.http({
    method: method as HttpRequest['method'],
    addresses,
    port,
    tlsName: host,
    host: destination,
    path,
    headers,
    ...(body === undefined ? {} : { body: text }),
    timeoutMs: 60_000,
    maxBytes: 50 * 1024 * 1024,
  })
}

/** Checks signatures; keeps the keys that servers publish. */
export type SignatureCheck = {
  /**
   * @returns who signed, or in words what is wrong
   * @throws {NetworkError} if the origin cannot be asked for its keys
   */
  check(request: ReceivedRequest): Promise<{ origin: string } | { problem: string }>
}

/** What senders should write for the sake of older servers. */
const HEADER = /^X-Matrix origin="([^"\\]+)",destination="([^"\\]+)",key="([^"\\]+)",sig="([^"\\]+)"$/

/** @param network where the origins' keys are fetched */
export function createSignatureCheck(serverName: string, network: Network, clock: Clock): SignatureCheck {
  const known = new Map<string, ReturnType<typeof verifyKeyFrom>>()

  async function keyOf(origin: string, keyId: string) {
    const name = `${origin} ${keyId}`
    if (!known.has(name)) known.set(name, await publishedKey(network, clock, origin, keyId))
    return known.get(name)
  }

  return {
    async check({ method, path, headers, body }) {
      const match = HEADER.exec(headers.authorization ?? '')
      if (!match) return { problem: `Authorization is ${headers.authorization}` }
      const [, origin, destination, keyId, sig] = match as unknown as [string, string, string, string, string]
      if (destination !== serverName) return { problem: `the destination is ${destination}` }
      const content = body === undefined ? undefined : tryParseJson(body)
      if (body !== undefined && content === undefined) return { problem: 'the body is not JSON' }
      const key = await keyOf(origin, keyId)
      if (!key) return { problem: `${origin} publishes no good key ${keyId}` }
      const text = signedText(origin, destination, { method, path, body: content })
      return verifyText(text, sig, key) ? { origin } : { problem: `the signature of ${origin} is bad` }
    },
  }
}

/** A key from `GET /_matrix/key/v2/server`, if the answer is valid now and signed with it. */
async function publishedKey(network: Network, clock: Clock, origin: string, keyId: string) {
  const response = await sendTo(network, origin, { method: 'GET', path: '/_matrix/key/v2/server' })
  const body = JSON.parse(response.body.toString('utf8'))
  const key = verifyKeyFrom(body.verify_keys?.[keyId]?.key ?? '')
  const good = body.server_name === origin && body.valid_until_ts > clock.now()
  return good && key && verifyJson(body, origin, keyId, key) ? key : undefined
}

function signedText(origin: string, destination: string, { method, path, body }: SignedParts): string {
  const text = canonicalRequest({ method, uri: path, origin, destination, content: body })
  if (text === undefined) throw new TypeError('a request without canonical form')
  return text
}
