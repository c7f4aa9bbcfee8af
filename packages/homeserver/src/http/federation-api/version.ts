import type { App } from '../app.ts'

/** `GET /version`. Server-server API, "Server implementation". */
export function version(app: App): void {
  const server = { name: 'Evergreen', version: '0.1.0' }
  app.get('/_matrix/federation/v1/version', { config: { public: true } }, async () => ({ server }))
}
