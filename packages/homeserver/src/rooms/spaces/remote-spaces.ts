import { isRoomId, type RoomId, type ServerName } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'
import { createInFlight } from '../../platform/in-flight.ts'
import { createTimedCache } from '../../platform/timed-cache.ts'
import type { RoomParts } from '../ports.ts'
import { readSpaceRoom, type SpaceRoom } from './space-room.ts'

/** What another server tells of a room and, if it is a space, of its children. */
export type RemoteSpace = {
  room: SpaceRoom
  children: Map<RoomId, SpaceRoom>
  /** Children that no user of ours could get into. */
  inaccessible: Set<RoomId>
}

export type RemoteSpaces = {
  /** Asks servers, one after another, for a room. @returns `undefined` if none tells of it */
  find(roomId: RoomId, via: readonly ServerName[]): Promise<RemoteSpace | undefined>
  /** Whether `find` would ask nobody. */
  isAtHand(roomId: RoomId, via: readonly ServerName[]): boolean
}

const TIMEOUT_MS = 10_000
const MAX_BYTES = 2 * 1024 * 1024
const MAX_CHILDREN = 500
/** Servers that are asked for one room. */
const MAX_SERVERS = 3
/** How long an answer, and the absence of one, is remembered (ms), and how many. */
const REMEMBERED_MS = 300_000
const NOT_FOUND_MS = 30_000
const REMEMBERED = 200

/** Server-server API, `GET /hierarchy/{roomId}`; answers are kept for a while. */
export function createRemoteSpaces({ clock, remote, serverName }: RoomParts): RemoteSpaces {
  const known = createTimedCache<RemoteSpace | 'none'>(clock, REMEMBERED)
  const asking = createInFlight<RemoteSpace | undefined>()

  /** @returns `unknown` if it says that it knows no such room, or none for us; `undefined` if it does not say */
  async function ask(server: ServerName, roomId: RoomId): Promise<RemoteSpace | 'unknown' | undefined> {
    const path = `/_matrix/federation/v1/hierarchy/${encodeURIComponent(roomId)}?suggested_only=false`
    const answer = await remote.request(server, { method: 'GET', path, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES })
    if (answer.kind !== 'answer') return undefined
    if (answer.status === 404) return 'unknown'
    return answer.status === 200 ? readAnswer(answer.body, roomId) : undefined
  }

  async function askAll(key: string, roomId: RoomId, servers: readonly ServerName[]): Promise<RemoteSpace | undefined> {
    let isSilent = false
    for (const server of servers) {
      const found = await ask(server, roomId)
      if (found === undefined) isSilent = true
      if (!found || found === 'unknown') continue
      known.set(key, found, REMEMBERED_MS)
      return found
    }
    // A room that we may not see may be opened to us at any time; a server that does not answer is not waited for again.
    if (isSilent) known.set(key, 'none', NOT_FOUND_MS)
    return undefined
  }

  /** Whom to ask for a room; part of the key, so that a space which names the wrong servers hides no room from others. */
  function lookUp(roomId: RoomId, via: readonly ServerName[]) {
    const servers = [...new Set(via)].filter((server) => server !== serverName && remote.isAllowed(server))
    const asked = servers.slice(0, MAX_SERVERS)
    const key = [roomId, ...asked].join(' ')
    return { asked, key, before: asked.length === 0 ? 'none' : known.get(key) } as const
  }

  return {
    isAtHand: (roomId, via) => lookUp(roomId, via).before !== undefined,
    async find(roomId, via) {
      const { asked, key, before } = lookUp(roomId, via)
      if (before) return before === 'none' ? undefined : before
      return asking.share(key, () => askAll(key, roomId, asked))
    },
  }
}

function readAnswer(body: unknown, roomId: RoomId): RemoteSpace | undefined {
  if (!isObject(body)) return undefined
  const room = readSpaceRoom(body.room)
  if (room?.room_id !== roomId) return undefined
  const own = new Set(room.children_state.map((child) => child.state_key))
  const children = new Map<RoomId, SpaceRoom>()
  for (const value of Array.isArray(body.children) ? body.children.slice(0, MAX_CHILDREN) : []) {
    const child = readSpaceRoom(value)
    if (child && own.has(child.room_id)) children.set(child.room_id, child)
  }
  const { inaccessible_children: closed } = body
  const inaccessible = (Array.isArray(closed) ? closed : []).filter(isRoomId).filter((id) => own.has(id))
  return { room, children, inaccessible: new Set(inaccessible) }
}
