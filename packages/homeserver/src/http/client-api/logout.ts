import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const config = { guests: true, ignoreBody: true, evenLocked: true }

/** Client-server API, "Login" of the legacy API: `/logout` and `/logout/all`. */
export function logout(app: App, ctx: Context): void {
  for (const path of clientPaths('/logout')) {
    app.post(path, { config }, async ({ requester }) => {
      await ctx.devices.logout(requester)
      return {}
    })
  }
  for (const path of clientPaths('/logout/all')) {
    app.post(path, { config }, async ({ requester }) => {
      await ctx.devices.logoutAll(requester.userId)
      return {}
    })
  }
}
