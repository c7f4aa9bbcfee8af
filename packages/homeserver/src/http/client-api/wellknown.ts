import type { Context } from '../../context.ts'
import { notFound } from '../../matrix/errors.ts'
import type { App } from '../app.ts'

/** Client-server API, "Well-known URIs"; server-server API, "Server discovery". */
export function wellKnown(app: App, ctx: Context): void {
  app.get('/.well-known/matrix/client', { config: { public: true } }, async () => ({
    'm.homeserver': { base_url: ctx.baseUrl() },
  }))

  // Only where the operator has said under which name this server is reached: the listener's own says nothing of it.
  app.get('/.well-known/matrix/server', { config: { public: true } }, async () => {
    const server = federationHost(ctx.settings.publicBaseUrl)
    if (!server) throw notFound('This server does not delegate')
    return { 'm.server': server }
  })

  // A contact is its owner's to publish, and no setting names one.
  app.get('/.well-known/matrix/support', { config: { public: true } }, async () => {
    throw notFound('This server publishes no contact')
  })
}

/** Host and port of a base URL; all APIs are served under it. */
function federationHost(baseUrl: string | undefined): string | undefined {
  if (!baseUrl?.startsWith('https://')) return undefined
  const { hostname, port } = new URL(baseUrl)
  return `${hostname}:${port || '443'}`
}
