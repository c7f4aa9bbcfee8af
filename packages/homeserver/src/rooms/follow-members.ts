import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { membersOf, remoteUsersStillShared } from '../storage/memberships.ts'
import type { Membership } from '../storage/room-tables.ts'
import type { RoomParts } from './ports.ts'
import type { WritableRoom } from './writable-room.ts'

/** Whose membership may have changed, and from what to what. */
type Changes = {
  userIds: readonly UserId[]
  before: ReadonlyMap<string, Membership>
  after: ReadonlyMap<string, Membership>
}

/**
 * Tells the device lists who came and who went, in the transaction of the memberships, which are written already: with
 * whom a room is shared from now on, with whom no longer, and which servers have to hear of our users' devices.
 * @returns whether one of our users was in the room before
 */
export async function followMembers(parts: RoomParts, room: WritableRoom, changes: Changes): Promise<boolean> {
  const { watchers, serverName } = parts
  const { tx, roomId } = room
  const isOurs = (userId: UserId) => serverNameOf(userId) === serverName
  const joined = changes.userIds.filter((id) => changes.after.get(id) === 'join' && changes.before.get(id) !== 'join')
  const left = changes.userIds.filter((id) => changes.before.get(id) === 'join' && changes.after.get(id) !== 'join')
  if (joined.length + left.length === 0) return changes.userIds.length === 0 || (await oursIn(parts, room)).length > 0

  const ours = await oursIn(parts, room)
  const joinedOurs = joined.filter(isOurs)
  const weWereThere = ours.length > joinedOurs.length || left.some(isOurs)
  const weAreThere = ours.length > 0
  const remoteNow = async () =>
    (await membersOf(tx.db, roomId, { membership: 'join' })).map((row) => row.user_id).filter((id) => !isOurs(id))

  if (weAreThere) {
    const started = weWereThere ? joined.filter((id) => !isOurs(id)) : await remoteNow()
    if (started.length > 0) await watchers.startTracking(tx, started)
    await tellServers(parts, room, { joined, joinedOurs, ours, isOurs })
  }
  const parted = weWereThere ? left.filter((id) => !isOurs(id)) : []
  if (weWereThere && !weAreThere) parted.push(...(await remoteNow()))
  if (parted.length > 0) {
    const still = await remoteUsersStillShared(tx.db, parted)
    const stopped = parted.filter((id) => !still.has(id))
    if (stopped.length > 0) await watchers.stopTracking(tx, stopped)
  }
  return weWereThere
}

async function oursIn({ serverName }: RoomParts, { tx, roomId }: WritableRoom): Promise<UserId[]> {
  const rows = await membersOf(tx.db, roomId, { membership: 'join', serverName })
  return rows.map((row) => row.user_id)
}

/** Servers that meet one of our users in this room for the first time. */
async function tellServers(
  { watchers, serverName }: RoomParts,
  { tx, roomId }: WritableRoom,
  {
    joined,
    joinedOurs,
    ours,
    isOurs,
  }: {
    joined: readonly UserId[]
    joinedOurs: readonly UserId[]
    ours: readonly UserId[]
    isOurs: (id: UserId) => boolean
  },
): Promise<void> {
  const arrivals = new Set<UserId>(joined)
  const newServers = new Set<ServerName>(joined.filter((id) => !isOurs(id)).map(serverNameOf))
  if (newServers.size === 0 && joinedOurs.length === 0) return
  const members = await membersOf(tx.db, roomId, { membership: 'join' })
  const servers = new Set(members.map((row) => row.server_name))
  servers.delete(serverName)
  if (joinedOurs.length > 0 && servers.size > 0) await watchers.serversJoined(tx, joinedOurs, [...servers])
  for (const row of members) if (!arrivals.has(row.user_id)) newServers.delete(row.server_name)
  const staying = ours.filter((id) => !arrivals.has(id))
  if (newServers.size > 0 && staying.length > 0) await watchers.serversJoined(tx, staying, [...newServers])
}
