import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

/** Client-server API, "Current account information". */
export function whoami(app: App, _ctx: Context): void {
  for (const path of clientPaths('/account/whoami')) {
    app.get(path, { config: { guests: true } }, async ({ requester: { userId, deviceId, isGuest } }) => ({
      user_id: userId,
      device_id: deviceId,
      is_guest: isGuest,
    }))
  }
}
