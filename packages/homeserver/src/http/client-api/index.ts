import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { requireAccessToken } from '../client-auth.ts'
import { account, sharedSecretRegistration } from './account.ts'
import { accountData } from './account-data.ts'
import { admin } from './admin.ts'
import { capabilities } from './capabilities.ts'
import { contentRepo } from './content-repo.ts'
import { createRoomRoutes } from './create-room.ts'
import { crossSigning } from './cross-signing.ts'
import { deviceListRefresh } from './device-list-refresh.ts'
import { deviceListWatch } from './device-list-watch.ts'
import { deviceManagement } from './device-management.ts'
import { directory } from './directory.ts'
import { evergreenAdmin } from './evergreen-admin.ts'
import { filter } from './filter.ts'
import { keyBackup } from './key-backup.ts'
import { keys } from './keys.ts'
import { listPublicRooms } from './list-public-rooms.ts'
import { login } from './login.ts'
import { logout } from './logout.ts'
import { notifications } from './notifications.ts'
import { oldSyncRoutes } from './old-sync.ts'
import { presence } from './presence.ts'
import { profile } from './profile.ts'
import { pushRules } from './pushrules.ts'
import { readMarkers } from './read-markers.ts'
import { receipts } from './receipts.ts'
import { registration } from './registration.ts'
import { relations } from './relations.ts'
import { reportContent } from './report-content.ts'
import { roomHistory } from './room-history.ts'
import { roomMembers } from './room-members.ts'
import { roomMembership } from './room-membership.ts'
import { roomSend } from './room-send.ts'
import { roomState } from './room-state.ts'
import { roomSummary } from './room-summary.ts'
import { roomUpgrades } from './room-upgrades.ts'
import { search } from './search.ts'
import { spaceHierarchy } from './space-hierarchy.ts'
import { syncRoutes } from './sync.ts'
import { tags } from './tags.ts'
import { thirdPartyIdentifiers } from './third-party-identifiers.ts'
import { thirdPartyNetworks } from './third-party-networks.ts'
import { toDevice } from './to-device.ts'
import { typing } from './typing.ts'
import { userDirectory } from './user-directory.ts'
import { versions } from './versions.ts'
import { voip } from './voip.ts'
import { wellKnown } from './wellknown.ts'
import { whoami } from './whoami.ts'

/** The client-server API: one file per module of the specification. */
export function clientApi(app: App, ctx: Context): void {
  requireAccessToken(app, ctx)
  versions(app, ctx)
  wellKnown(app, ctx)
  registration(app, ctx)
  login(app, ctx)
  logout(app, ctx)
  account(app, ctx)
  thirdPartyIdentifiers(app, ctx)
  sharedSecretRegistration(app, ctx)
  whoami(app, ctx)
  capabilities(app, ctx)
  filter(app, ctx)
  profile(app, ctx)
  accountData(app, ctx)
  pushRules(app, ctx)
  deviceManagement(app, ctx)
  admin(app, ctx)
  keys(app, ctx)
  keyBackup(app, ctx)
  crossSigning(app, ctx)
  toDevice(app, ctx)
  createRoomRoutes(app, ctx)
  roomMembership(app, ctx)
  roomSend(app, ctx)
  roomState(app, ctx)
  directory(app, ctx)
  listPublicRooms(app, ctx)
  spaceHierarchy(app, ctx)
  roomSummary(app, ctx)
  roomUpgrades(app, ctx)
  userDirectory(app, ctx)
  contentRepo(app, ctx)
  roomHistory(app, ctx)
  roomMembers(app, ctx)
  typing(app, ctx)
  receipts(app, ctx)
  readMarkers(app, ctx)
  presence(app, ctx)
  tags(app, ctx)
  notifications(app, ctx)
  relations(app, ctx)
  search(app, ctx)
  reportContent(app, ctx)
  syncRoutes(app, ctx)
  oldSyncRoutes(app, ctx)
  thirdPartyNetworks(app, ctx)
  voip(app, ctx)
  deviceListRefresh(app, ctx)
  deviceListWatch(app, ctx)
  evergreenAdmin(app, ctx)
}
