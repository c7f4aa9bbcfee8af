import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { requireSignature } from '../federation-auth.ts'
import type { Spend } from '../rate-limits.ts'
import { backfill } from './backfill.ts'
import { contentRepository } from './content-repository.ts'
import { eventAuth } from './event-auth.ts'
import { events } from './events.ts'
import { keysQuery } from './keys-query.ts'
import { keysServer } from './keys-server.ts'
import { openId } from './openid.ts'
import { publicRooms } from './public-rooms.ts'
import { queryDirectory } from './query-directory.ts'
import { queryProfile } from './query-profile.ts'
import { roomMembers } from './room-members.ts'
import { spaceHierarchy } from './space-hierarchy.ts'
import { transactions } from './transactions.ts'
import { userDevices } from './user-devices.ts'
import { userKeys } from './user-keys.ts'
import { version } from './version.ts'

/** The server-server API: one file per module of the specification. */
export function federationApi(app: App, ctx: Context, spend: Spend): void {
  requireSignature(app, ctx, spend)
  version(app)
  backfill(app, ctx)
  eventAuth(app, ctx)
  events(app, ctx)
  keysServer(app, ctx)
  keysQuery(app, ctx)
  openId(app, ctx)
  contentRepository(app, ctx)
  publicRooms(app, ctx)
  spaceHierarchy(app, ctx)
  queryDirectory(app, ctx)
  queryProfile(app, ctx)
  roomMembers(app, ctx)
  transactions(app, ctx)
  userDevices(app, ctx)
  userKeys(app, ctx)
}
