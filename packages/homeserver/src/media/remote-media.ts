import { MatrixError, notFound } from '../matrix/errors.ts'
import type { FederationAnswer, FederationRequest } from '../matrix/federation.ts'
import type { ServerName } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { createSemaphore } from '../platform/semaphore.ts'
import type { MediaKey } from '../storage/media.ts'
import { contentTypeOf, nameInDisposition } from './disposition.ts'
import { readMultipart } from './multipart.ts'

/** A media as another server gives it. */
export type FetchedMedia = { contentType: string; fileName: string | undefined; bytes: Buffer }

type Request = (destination: ServerName, request: FederationRequest) => Promise<FederationAnswer>

/** Media that are fetched at the same time: each is in memory for a moment. */
const PARALLEL = 4
const TIMEOUT_MS = 60_000
/** What an answer takes besides the media. */
const ENVELOPE_BYTES = 64 * 1024

/**
 * Fetches media of other servers. Server-server API, `GET /media/download/{mediaId}`; of servers that do not know it by the
 * endpoint that clients had before.
 * @returns a function that throws `M_NOT_FOUND`, 502 `M_TOO_LARGE` and 502 `M_UNKNOWN`
 */
export function createRemoteMedia(request: Request, maxBytes: number): (key: MediaKey) => Promise<FetchedMedia> {
  const permits = createSemaphore(PARALLEL)

  async function ask(server: ServerName, path: string): Promise<Extract<FederationAnswer, { kind: 'answer' }>> {
    const options = { timeoutMs: TIMEOUT_MS, maxBytes: maxBytes + ENVELOPE_BYTES, accept: '*/*' }
    const answer = await request(server, { method: 'GET', path, ...options })
    if (answer.kind === 'answer') return answer
    throw answer.failure === 'too_large' ? tooLarge() : unreachable()
  }

  async function fetch({ serverName, mediaId }: MediaKey): Promise<FetchedMedia> {
    const answer = await ask(serverName, `/_matrix/federation/v1/media/download/${mediaId}`)
    if (answer.status === 200) return fromParts(answer)
    if (!isUnknownEndpoint(answer)) throw failureOf(answer)
    const old = await ask(serverName, `/_matrix/media/v3/download/${serverName}/${mediaId}?allow_remote=false`)
    if (old.status !== 200 || !old.bytes) throw failureOf(old)
    return fromHeaders((name) => old.headers[name], old.bytes)
  }

  return (key) =>
    permits.run(async () => {
      const media = await fetch(key)
      if (media.bytes.length > maxBytes) throw tooLarge()
      return media
    })
}

function fromParts({ headers, bytes }: Extract<FederationAnswer, { kind: 'answer' }>): FetchedMedia {
  const parts = readMultipart(headers['content-type'], bytes ?? Buffer.alloc(0))
  // A place elsewhere on the net is not followed: nothing says that it is one that we may reach.
  if (!parts || parts[1].headers.has('location')) throw unreachable()
  const [, media] = parts
  return fromHeaders((name) => media.headers.get(name), media.body)
}

function fromHeaders(header: (name: string) => string | undefined, bytes: Buffer): FetchedMedia {
  return {
    contentType: contentTypeOf(header('content-type')),
    fileName: nameInDisposition(header('content-disposition')),
    bytes,
  }
}

function isUnknownEndpoint({ status, body }: { status: number; body: unknown }): boolean {
  const errcode = isObject(body) ? body.errcode : undefined
  return (status === 404 || status === 405) && errcode !== 'M_NOT_FOUND' && errcode !== 'M_NOT_YET_UPLOADED'
}

function failureOf({ status, body }: { status: number; body: unknown }): MatrixError {
  if (status === 404) return notFound('The other server has no such media')
  return isObject(body) && body.errcode === 'M_TOO_LARGE' ? tooLarge() : unreachable()
}

const tooLarge = () => new MatrixError(502, 'M_TOO_LARGE', 'This media is larger than what this server fetches')
const unreachable = () => new MatrixError(502, 'M_UNKNOWN', 'The media could not be fetched from its server')
