import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { membersOf } from '../storage/memberships.ts'
import { localJoinedCount, serversIn, serversWithOthers } from '../storage/room-population.ts'
import type { Membership } from '../storage/room-tables.ts'
import { remoteUsersStillShared } from '../storage/shared-rooms.ts'
import { followPredecessor } from './follow-predecessor.ts'
import type { RoomParts } from './ports.ts'
import type { WritableRoom } from './writable-room.ts'

/** Whose membership may have changed, and from what to what. */
type Changes = {
  userIds: readonly UserId[]
  before: ReadonlyMap<string, Membership>
  after: ReadonlyMap<string, Membership>
}

/** Who came and who went, our own users apart. */
type Movement = { came: UserId[]; went: UserId[]; oursCame: UserId[]; oursWent: UserId[] }

/**
 * Tells the device lists who came and who went, in the transaction of the memberships, which are written already: with
 * whom a room is shared from now on, with whom no longer, and which servers have to hear of our users' devices.
 * @returns whether one of our users was in the room before
 */
export async function followMembers(parts: RoomParts, room: WritableRoom, changes: Changes): Promise<boolean> {
  const { tx, roomId } = room
  const movement = movementIn(parts, changes)
  const { came, went, oursCame, oursWent } = movement
  const ours = await localJoinedCount(tx.db, roomId)
  const weWereThere = ours - oursCame.length + oursWent.length > 0
  if (ours > 0) {
    const started = weWereThere ? came : await remoteMembers(parts, room)
    if (started.length > 0) await parts.watchers.startTracking(tx, started)
    await introduceOurs(parts, room, movement)
  }
  if (oursCame.length > 0) await followPredecessor(parts, room, oursCame, !weWereThere)
  if (weWereThere) {
    const parted = ours > 0 ? went : [...went, ...(await remoteMembers(parts, room))]
    const still = await remoteUsersStillShared(tx.db, parted)
    const stopped = parted.filter((userId) => !still.has(userId))
    if (stopped.length > 0) await parts.watchers.stopTracking(tx, stopped)
  }
  return weWereThere
}

function movementIn({ serverName }: RoomParts, { userIds, before, after }: Changes): Movement {
  const came = userIds.filter((id) => after.get(id) === 'join' && before.get(id) !== 'join')
  const went = userIds.filter((id) => before.get(id) === 'join' && after.get(id) !== 'join')
  const isOurs = (userId: UserId) => serverNameOf(userId) === serverName
  return {
    came: came.filter((id) => !isOurs(id)),
    went: went.filter((id) => !isOurs(id)),
    oursCame: came.filter(isOurs),
    oursWent: went.filter(isOurs),
  }
}

async function remoteMembers({ serverName }: RoomParts, { tx, roomId }: WritableRoom): Promise<UserId[]> {
  const members = await membersOf(tx.db, roomId, { membership: 'join' })
  return members.filter((row) => row.server_name !== serverName).map((row) => row.user_id)
}

/** Those of ours who came, to every server in the room; those who were there, to servers that came with their first user. */
async function introduceOurs(parts: RoomParts, room: WritableRoom, { came, oursCame }: Movement): Promise<void> {
  const { watchers, serverName } = parts
  const { tx, roomId } = room
  if (oursCame.length > 0) {
    const servers = (await serversIn(tx.db, roomId)).filter((server) => server !== serverName)
    if (servers.length > 0) await watchers.serversJoined(tx, oursCame, servers)
  }
  if (came.length === 0) return
  const servers = new Set<ServerName>(came.map(serverNameOf))
  const known = await serversWithOthers(tx.db, roomId, [...servers], came)
  const newcomers = [...servers.difference(known)]
  if (newcomers.length === 0) return
  const arrived = new Set(oursCame)
  const members = await membersOf(tx.db, roomId, { membership: 'join', serverName })
  const staying = members.map((row) => row.user_id).filter((userId) => !arrived.has(userId))
  if (staying.length > 0) await watchers.serversJoined(tx, staying, newcomers)
}
