import { MatrixError } from '../matrix/errors.ts'
import { isRoomId, isServerName, type RoomAlias, type RoomId, type ServerName, serverNameOf } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { createInFlight } from '../platform/in-flight.ts'
import { createTimedCache } from '../platform/timed-cache.ts'
import { aliasRow } from '../storage/room-aliases.ts'
import { serversIn } from '../storage/room-population.ts'
import type { RoomParts } from './ports.ts'

/** What an alias stands for, and servers that are likely to be in that room, the best to ask first. */
type ResolvedAlias = { roomId: RoomId; servers: ServerName[] }

export type AliasResolver = {
  /**
   * Looks an alias up, here or at its server.
   * @returns `undefined` if there is no such alias
   * @param options.fresh whether its server is asked even if it was just now: for what is more than a look
   * @throws 502 `M_UNKNOWN` if its server cannot be asked
   */
  resolve(alias: RoomAlias, options?: { fresh?: boolean }): Promise<ResolvedAlias | undefined>
  /** The same for other servers, who ask only for aliases that are ours. */
  resolveOwn(alias: RoomAlias): Promise<ResolvedAlias | undefined>
}

const TIMEOUT_MS = 10_000
const MAX_BYTES = 256 * 1024
/** Servers of one room that are named or taken in. */
const MAX_SERVERS = 100
/** How long what another server said is said again without asking (ms), and how many answers are kept. */
const REMEMBERED_MS = 10_000
const REMEMBERED = 1_000

/** Client-server API, "Room Aliases"; server-server API, `GET /query/directory`. */
export function createAliasResolver(parts: RoomParts): AliasResolver {
  const { store, clock, serverName, remote } = parts
  // Aliases of other servers only: our own are read from the database.
  const known = createTimedCache<ResolvedAlias>(clock, REMEMBERED)
  const asking = createInFlight<ResolvedAlias | undefined>()

  async function resolveOwn(alias: RoomAlias): Promise<ResolvedAlias | undefined> {
    const row = await aliasRow(store.db, alias)
    if (!row) return undefined
    const servers = new Set([serverName, ...(await serversIn(store.db, row.room_id))])
    return { roomId: row.room_id, servers: [...servers].slice(0, MAX_SERVERS) }
  }

  async function ask(alias: RoomAlias): Promise<ResolvedAlias | undefined> {
    const server = serverNameOf(alias)
    const path = `/_matrix/federation/v1/query/directory?room_alias=${encodeURIComponent(alias)}`
    const answer = await remote.request(server, { method: 'GET', path, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES })
    if (answer.kind === 'answer' && answer.status === 404) return undefined
    if (answer.kind !== 'answer' || answer.status !== 200 || !isObject(answer.body)) throw unreachable()
    const { room_id: roomId, servers } = answer.body
    if (!isRoomId(roomId)) throw unreachable()
    const named = (Array.isArray(servers) ? servers : []).filter(isServerName)
    const resolved = { roomId, servers: [...new Set([server, ...named])].slice(0, MAX_SERVERS) }
    known.set(alias, resolved, REMEMBERED_MS)
    return resolved
  }

  return {
    resolveOwn,
    async resolve(alias, { fresh = false } = {}) {
      if (serverNameOf(alias) === serverName) return resolveOwn(alias)
      return (fresh ? undefined : known.get(alias)) ?? asking.share(alias, () => ask(alias))
    },
  }
}

const unreachable = () => new MatrixError(502, 'M_UNKNOWN', 'The alias could not be looked up at its server')
