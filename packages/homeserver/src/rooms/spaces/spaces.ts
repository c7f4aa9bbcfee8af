import { forbidden, invalidParam, notFound } from '../../matrix/errors.ts'
import { isServerName, type RoomAlias, type RoomId, type ServerName, type UserId } from '../../matrix/ids.ts'
import { membershipsIn } from '../../storage/memberships.ts'
import type { AliasResolver } from '../alias-resolver.ts'
import type { RoomParts } from '../ports.ts'
import type { RoomSummary } from '../room-summary.ts'
import { formatPlace, offsetIn } from './hierarchy-token.ts'
import { createRemoteSpaces } from './remote-spaces.ts'
import { visibleToServer, visibleToUser } from './space-access.ts'
import { isSuggested } from './space-child.ts'
import { localRooms, type SpaceRoom } from './space-room.ts'
import { walkSpace } from './walk.ts'

type HierarchyQuery = {
  suggestedOnly: boolean
  /** Left out where nobody says. */
  maxDepth: number | undefined
  limit: number | undefined
  from: string | undefined
}

/** What can be seen of rooms and spaces from outside. Client-server API, "Spaces", "Room summary". */
export type Spaces = {
  /**
   * A page of the rooms of a space.
   * @throws `M_FORBIDDEN` if the user may not see the space; `M_INVALID_PARAM` for a token of another walk
   */
  hierarchy(userId: UserId, roomId: RoomId, query: HierarchyQuery): Promise<{ rooms: SpaceRoom[]; next_batch?: string }>
  /**
   * A room and its children as another server may be told of them.
   * @throws `M_NOT_FOUND`
   */
  hierarchyFor(
    serverName: ServerName,
    roomId: RoomId,
    suggestedOnly: boolean,
  ): Promise<{ room: SpaceRoom; children: SpaceRoom[]; inaccessible_children: RoomId[] }>
  /**
   * What a room is like. Who has not logged in sees of open rooms those that we know.
   * @param via servers that may know it
   * @throws `M_NOT_FOUND`, also for what the user may not see
   */
  summary(
    userId: UserId | undefined,
    room: RoomId | RoomAlias,
    via: readonly ServerName[],
  ): Promise<RoomSummary & { membership?: string }>
}

const MAX_LIMIT = 50
const MAX_DEPTH = 50
/** Rooms of one space that can be reached, on all pages. */
const MAX_ROOMS = 1_000

export function createSpaces(parts: RoomParts, { resolve, resolveOwn }: AliasResolver): Spaces {
  const { store } = parts
  const remote = createRemoteSpaces(parts)

  return {
    async hierarchy(userId, roomId, { suggestedOnly, maxDepth, limit, from }) {
      const offset = from === undefined ? 0 : offsetIn(from, { roomId, suggestedOnly, maxDepth })
      if (offset === undefined) throw invalidParam('from is not a token of this walk')
      const size = Math.min(limit ?? MAX_LIMIT, MAX_LIMIT)
      const end = Math.min(offset + size, MAX_ROOMS)
      const { rooms, complete } = await walkSpace(parts, remote, {
        userId,
        root: { roomId, via: serverIn(roomId) },
        suggestedOnly,
        maxDepth: Math.min(maxDepth ?? MAX_DEPTH, MAX_DEPTH),
        count: end,
      })
      if (rooms.length === 0) throw forbidden('There is no such room, or you may not see it')
      const isLast = complete || end === MAX_ROOMS
      const next = { roomId, suggestedOnly, maxDepth, offset: Math.max(offset, rooms.length) }
      return { rooms: rooms.slice(offset), ...(!isLast && { next_batch: formatPlace(next) }) }
    },

    async hierarchyFor(serverName, roomId, suggestedOnly) {
      const room = (await localRooms(store.db, [roomId])).get(roomId)
      if (!room || !(await visibleToServer(store.db, serverName, [room])).has(roomId))
        throw notFound('No such room here')
      const events = suggestedOnly ? room.children_state.filter(isSuggested) : room.children_state
      const ids = events.map((event) => event.state_key)
      const known = [...(await localRooms(store.db, [...new Set(ids)])).values()]
      const visible = await visibleToServer(store.db, serverName, known)
      return {
        room: { ...room, children_state: events },
        children: known.filter((child) => visible.has(child.room_id)),
        inaccessible_children: known.map((child) => child.room_id).filter((id) => !visible.has(id)),
      }
    },

    async summary(userId, room, via) {
      const { roomId, servers } = await whichRoom(userId, room)
      const found =
        (await localRooms(store.db, [roomId])).get(roomId) ?? (await elsewhere(roomId, [...via, ...servers]))
      if (!found || !(await visibleToUser(store.db, userId, [found])).has(roomId)) throw notFound('No such room')
      const { children_state: _, ...summary } = found
      if (userId === undefined) return summary
      return { ...summary, membership: (await membershipsIn(store.db, userId, [roomId])).get(roomId) ?? 'leave' }

      async function elsewhere(roomId: RoomId, servers: readonly ServerName[]): Promise<SpaceRoom | undefined> {
        // Others are asked only for our own users.
        return userId === undefined ? undefined : (await remote.find(roomId, servers))?.room
      }
    },
  }

  async function whichRoom(userId: UserId | undefined, room: RoomId | RoomAlias) {
    if (isId(room)) return { roomId: room, servers: serverIn(room) }
    const resolved = await (userId === undefined ? resolveOwn(room) : resolve(room))
    if (!resolved) throw notFound('No such room')
    return resolved
  }
}

const isId = (room: RoomId | RoomAlias): room is RoomId => room.startsWith('!')

/** The server that made a room, where the room's ID names it. */
function serverIn(roomId: RoomId): ServerName[] {
  const server = roomId.slice(roomId.indexOf(':') + 1)
  return roomId.includes(':') && isServerName(server) ? [server] : []
}
