import type { Context } from '../../context.ts'
import { ROOM_VERSIONS } from '../../state/room-versions.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const CAPABILITIES = {
  'm.change_password': { enabled: true },
  'm.profile_fields': { enabled: true },
  'm.set_displayname': { enabled: true },
  'm.set_avatar_url': { enabled: true },
  'm.3pid_changes': { enabled: false },
  'm.get_login_token': { enabled: true },
}

const MODERATION = { 'm.account_moderation': { suspend: true, lock: true } }

/** Client-server API, "Capabilities negotiation". */
export function capabilities(app: App, ctx: Context): void {
  const roomVersions = {
    default: ctx.settings.defaultRoomVersion,
    available: Object.fromEntries(ROOM_VERSIONS.map((version) => [version.id, 'stable'])),
  }
  for (const path of clientPaths('/capabilities')) {
    app.get(path, { config: { guests: true } }, async ({ requester }) => ({
      capabilities: { ...CAPABILITIES, ...(requester.isAdmin && MODERATION), 'm.room_versions': roomVersions },
    }))
  }
}
