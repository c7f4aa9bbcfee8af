import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { invalidParam, MatrixError } from '../matrix/errors.ts'
import { isServerName } from '../matrix/ids.ts'
import { bareType, dispositionOf, fileNameOf } from '../media/disposition.ts'
import type { Media, MediaFacts } from '../media/media.ts'
import type { MediaKey } from '../storage/media.ts'

/** Client-server API, "Content repository": what keeps a browser from running what it shows. */
const SAFETY = {
  'Content-Security-Policy':
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';",
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'X-Content-Type-Options': 'nosniff',
  // What an address leads to never changes; others than who asked are not to find it in a cache.
  'Cache-Control': 'private, max-age=86400, immutable',
}

/** @throws `M_INVALID_PARAM` */
export function mediaKey(serverName: string, mediaId: string): MediaKey {
  if (!isServerName(serverName) || !/^[A-Za-z0-9_-]{1,255}$/.test(mediaId)) throw invalidParam('This is no media')
  return { serverName, mediaId }
}

/** Sends a media to a client. @param name a file name to give instead of its own */
export async function sendMedia(
  media: Media,
  key: MediaKey,
  reply: FastifyReply,
  name?: string,
): Promise<FastifyReply> {
  const { contentType, fileName, size } = await media.find(key)
  return reply
    .headers({
      ...SAFETY,
      'Content-Type': contentType,
      'Content-Length': size,
      'Content-Disposition': dispositionOf(contentType, name === undefined ? fileName : fileNameOf(name)),
    })
    .send(media.read(key))
}

/** Pictures that any client can show; the larger ones are no use where a small one is wanted. */
const PICTURES = new Set(['image/jpeg', 'image/png', 'image/apng', 'image/gif', 'image/webp'])
const MAX_PICTURE_BYTES = 5 * 1024 * 1024
/** Formats that may move. */
const MOVING = new Set(['image/gif', 'image/apng', 'image/webp'])

/**
 * Finds what may be shown in place of a thumbnail: the picture itself. A thumbnail may be larger than asked for, never
 * smaller. Client-server API, "Thumbnails".
 * @throws 400 `M_UNKNOWN` for what is no picture, or may move and must not; 413 `M_TOO_LARGE`
 */
export async function findPicture(media: Media, key: MediaKey, query: Record<string, unknown>): Promise<MediaFacts> {
  for (const side of [query.width, query.height]) {
    if (typeof side !== 'string' || !/^[1-9][0-9]{0,5}$/.test(side)) throw invalidParam('width and height are numbers')
  }
  const facts = await media.find(key)
  const type = bareType(facts.contentType)
  if (!PICTURES.has(type) || (query.animated === 'false' && MOVING.has(type))) {
    throw new MatrixError(400, 'M_UNKNOWN', 'There is no thumbnail of this')
  }
  if (facts.size > MAX_PICTURE_BYTES)
    throw new MatrixError(413, 'M_TOO_LARGE', 'There is no thumbnail of this: it is too large')
  return facts
}

/** A stream of several pieces, one after another. */
export function joined(pieces: readonly (string | Readable)[]): Readable {
  async function* all() {
    for (const piece of pieces) {
      if (typeof piece === 'string') yield Buffer.from(piece)
      else yield* piece
    }
  }
  return Readable.from(all())
}
