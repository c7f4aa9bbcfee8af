import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { dispositionOf } from '../../media/disposition.ts'
import type { MediaFacts } from '../../media/media.ts'
import { mediaEnvelope } from '../../media/multipart.ts'
import { opaqueId } from '../../platform/random.ts'
import type { MediaKey } from '../../storage/media.ts'
import type { App } from '../app.ts'
import { findPicture, joined, mediaKey } from '../media-answers.ts'

const text = Type.Optional(Type.String())
const schema = { params: Type.Object({ mediaId: Type.String() }) }
const thumbnailSchema = {
  ...schema,
  querystring: Type.Object({ width: text, height: text, method: text, animated: text }),
}

/** Our media for other servers. Server-server API, "Content Repository". */
export function contentRepository(app: App, ctx: Context): void {
  function send(key: MediaKey, { contentType, fileName }: MediaFacts, reply: FastifyReply): FastifyReply {
    const boundary = opaqueId(ctx.random)
    const { head, tail } = mediaEnvelope(boundary, {
      'Content-Type': contentType,
      'Content-Disposition': dispositionOf(contentType, fileName),
    })
    return reply
      .header('Content-Type', `multipart/mixed; boundary=${boundary}`)
      .send(joined([head, ctx.media.read(key), tail]))
  }

  app.get('/_matrix/federation/v1/media/download/:mediaId', { schema }, async ({ params }, reply) => {
    const key = mediaKey(ctx.settings.serverName, params.mediaId)
    return send(key, await ctx.media.find(key), reply)
  })

  const thumbnail = '/_matrix/federation/v1/media/thumbnail/:mediaId'
  app.get(thumbnail, { schema: thumbnailSchema }, async ({ params, query }, reply) => {
    const key = mediaKey(ctx.settings.serverName, params.mediaId)
    return send(key, await findPicture(ctx.media, key, query), reply)
  })
}
