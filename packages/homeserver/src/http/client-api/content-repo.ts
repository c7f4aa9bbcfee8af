import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { MatrixError, notFound } from '../../matrix/errors.ts'
import { contentTypeOf, fileNameOf } from '../../media/disposition.ts'
import type { Upload } from '../../media/media.ts'
import type { App } from '../app.ts'
import { findPicture, mediaKey, sendMedia } from '../media-answers.ts'

const place = { serverName: Type.String(), mediaId: Type.String() }
const text = Type.Optional(Type.String())
const uploadSchema = { querystring: Type.Object({ filename: text }) }
const uploadToSchema = { ...uploadSchema, params: Type.Object(place) }
const downloadSchema = { params: Type.Object({ ...place, fileName: text }) }
const thumbnailSchema = {
  params: Type.Object(place),
  querystring: Type.Object({ width: text, height: text, method: text, animated: text }),
}

/** Client-server API, "Content repository". What needs no login any more is not served. */
export function contentRepo(app: App, ctx: Context): void {
  const mxc = (mediaId: string) => `mxc://${ctx.settings.serverName}/${mediaId}`

  app.register(async (scope) => {
    // Bytes of any kind, read by whoever keeps them.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    uploads(scope as App, ctx, mxc)
  })

  app.post('/_matrix/media/v1/create', { config: { ignoreBody: true } }, async ({ requester }) => {
    const { mediaId, expiresAt } = await ctx.media.announce(requester.userId)
    return { content_uri: mxc(mediaId), unused_expires_at: expiresAt }
  })

  for (const path of ['/_matrix/client/v1/media/config', '/_matrix/media/v3/config', '/_matrix/media/r0/config']) {
    app.get(path, { config: { guests: true } }, async () => ({ 'm.upload.size': ctx.media.maxBytes }))
  }

  const config = { guests: true, costs: 'keys' } as const
  for (const end of ['', '/:fileName']) {
    const path = `/_matrix/client/v1/media/download/:serverName/:mediaId${end}`
    app.get(path, { schema: downloadSchema, config }, async ({ params }, reply) => {
      const { serverName, mediaId, fileName } = params
      return sendMedia(ctx.media, mediaKey(serverName, mediaId), reply, fileName)
    })
  }

  const thumbnail = '/_matrix/client/v1/media/thumbnail/:serverName/:mediaId'
  app.get(thumbnail, { schema: thumbnailSchema, config }, async ({ params, query }, reply) => {
    const key = mediaKey(params.serverName, params.mediaId)
    await findPicture(ctx.media, key, query)
    return sendMedia(ctx.media, key, reply)
  })
}

function uploads(scope: App, ctx: Context, mxc: (mediaId: string) => string): void {
  for (const version of ['v3', 'r0']) {
    scope.post(`/_matrix/media/${version}/upload`, { schema: uploadSchema }, async (request) => {
      const mediaId = await ctx.media.upload(request.requester.userId, uploadIn(request, request.query, ctx))
      return { content_uri: mxc(mediaId) }
    })
  }

  scope.put('/_matrix/media/v3/upload/:serverName/:mediaId', { schema: uploadToSchema }, async (request) => {
    const { serverName, mediaId } = mediaKey(request.params.serverName, request.params.mediaId)
    if (serverName !== ctx.settings.serverName) throw notFound('This is an address of another server')
    await ctx.media.uploadTo(request.requester.userId, mediaId, uploadIn(request, request.query, ctx))
    return {}
  })
}

function uploadIn(
  request: Pick<FastifyRequest, 'headers' | 'body'>,
  query: { filename?: string },
  { media }: Context,
): Upload {
  if (Number(request.headers['content-length']) > media.maxBytes) {
    throw new MatrixError(413, 'M_TOO_LARGE', `Media may have ${media.maxBytes} bytes`)
  }
  return {
    contentType: contentTypeOf(request.headers['content-type']),
    fileName: fileNameOf(query.filename),
    content: (request.body as IncomingMessage | undefined) ?? emptyContent(),
  }
}

async function* emptyContent(): AsyncGenerator<Uint8Array> {}
