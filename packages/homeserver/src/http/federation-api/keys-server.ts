import type { Context } from '../../context.ts'
import { canonicalJson } from '../../matrix/json.ts'
import type { App } from '../app.ts'

/** `GET /_matrix/key/v2/server`: our keys, for anybody. Server-server API, "Publishing Keys". */
export function keysServer(app: App, ctx: Context): void {
  // The form with a key ID is deprecated; its answer is the same.
  for (const path of ['/_matrix/key/v2/server', '/_matrix/key/v2/server/:keyId']) {
    app.get(path, { config: { public: true } }, async (_, reply) =>
      // In the form that is signed: whoever takes the signatures off can check them as it is.
      reply.type('application/json').send(canonicalJson(ctx.federation.publishedKeys())),
    )
  }
}
