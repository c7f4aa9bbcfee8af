import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Context } from '../context.ts'
import { notFound } from '../matrix/errors.ts'
import type { App } from './app.ts'

/** A file of the page, as it is served. */
type PageFile = { body: Buffer; type: string; etag: string }

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Nothing but what this server serves: no inline scripts, nothing from elsewhere, no frames around it. */
const HEADERS = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; '),
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
}

const anybody = { config: { public: true } }

/**
 * The web page under `/_evergreen/`: what `npm ci` has built of `@evergreen/web`, read once. What it asks for are the routes
 * that clients use. An extension of ours, see docs/api.md.
 */
export async function page(app: App, ctx: Context): Promise<void> {
  const files = await builtFiles()
  if (files.size === 0) ctx.log.warn({}, 'the web page is not built: `npm ci` does it. /_evergreen/ answers 404')

  app.get('/_evergreen', anybody, (_request, reply) => reply.redirect('/_evergreen/', 308))

  const serve = (name: string, cache: string) => {
    const file = files.get(name)
    return { file, headers: { ...HEADERS, 'Cache-Control': cache, ...(file && { ETag: file.etag }) } }
  }
  app.get('/_evergreen/', anybody, (request, reply) => {
    const { file, headers } = serve('index.html', 'no-cache')
    if (!file) throw notFound('The web page is not built on this server')
    reply.headers(headers)
    if (request.headers['if-none-match'] === file.etag) return reply.code(304).send()
    return reply.type(file.type).send(file.body)
  })
  // Their names change with what is in them.
  app.get<{ Params: { name: string } }>('/_evergreen/assets/:name', anybody, (request, reply) => {
    const { file, headers } = serve(`assets/${request.params.name}`, 'public, max-age=31536000, immutable')
    if (!file) throw notFound('The page has no such file')
    return reply.headers(headers).type(file.type).send(file.body)
  })
}

/** By their path below the folder of the build; none if there is no build. */
async function builtFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const folder = fileURLToPath(new URL('./dist/', import.meta.resolve('@evergreen/web/package.json')))
  const names = await readdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const known = names.filter((name) => Object.hasOwn(TYPES, extname(name)))
  const entries = known.map(async (name): Promise<[string, PageFile]> => {
    const body = await readFile(join(folder, name))
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
    return [name, { body, etag, type: TYPES[extname(name)]! }]
  })
  return new Map(await Promise.all(entries))
}
