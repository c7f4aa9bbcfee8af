import type { Context } from '../../context.ts'
import type { App } from '../app.ts'

/** What operators and their machines ask. */
export function opsApi(app: App, ctx: Context): void {
  // 200 as soon as the database answers; migrations are done before anything listens.
  app.get('/health', { config: { public: true } }, async () => {
    await ctx.store.position()
    return { status: 'ok' }
  })
}
