import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { requireAccessToken } from '../client-auth.ts'

/** The client-server API: one file per module of the specification. */
export function clientApi(app: App, ctx: Context): void {
  requireAccessToken(app, ctx)
}
