import { matchesGlob } from '../matrix/glob.ts'
import { type EventId, parseServerName, type RoomId, type ServerName } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { roomVersion } from '../state/room-versions.ts'
import { currentStateEventId } from '../storage/room-state.ts'
import { roomRow } from '../storage/rooms.ts'
import type { RoomParts } from './ports.ts'

/** Which servers a room keeps out. */
export type ServerAcl = {
  /** Whether the room's access control list denies a server; a room without one, or unknown here, denies nobody. */
  denies(roomId: RoomId, serverName: ServerName): Promise<boolean>
}

export function createServerAcl({ store, events }: Pick<RoomParts, 'store' | 'events'>): ServerAcl {
  async function contentOf(roomId: RoomId, eventId: EventId): Promise<unknown> {
    const row = await roomRow(store.db, roomId)
    const version = row && roomVersion(row.version)
    if (!version) return undefined
    return (await events.load(store.db, version, [eventId])).get(eventId)?.event.content
  }
  return {
    async denies(roomId, serverName) {
      const eventId = await currentStateEventId(store.db, roomId, 'm.room.server_acl', '')
      return eventId !== undefined && isDeniedByAcl(await contentOf(roomId, eventId), serverName)
    },
  }
}

/**
 * Whether the content of an `m.room.server_acl` denies a server. Client-server API, "m.room.server_acl". Ports are not
 * looked at.
 */
export function isDeniedByAcl(content: unknown, serverName: ServerName): boolean {
  if (!isObject(content)) return false
  const { host, kind } = parseServerName(serverName)!
  if (kind !== 'name' && content.allow_ip_literals === false) return true
  const name = kind === 'ipv6' ? `[${host}]` : host
  return matchesAny(content.deny, name) || !matchesAny(content.allow, name)
}

function matchesAny(patterns: unknown, name: string): boolean {
  return (
    Array.isArray(patterns) && patterns.some((pattern) => typeof pattern === 'string' && matchesGlob(pattern, name))
  )
}
