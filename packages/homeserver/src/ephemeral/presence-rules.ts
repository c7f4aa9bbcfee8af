import { isUserId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { isObject, type JsonObject } from '../matrix/json.ts'
import type { Presence } from '../storage/ephemeral-tables.ts'
import type { DeviceRow, PresenceRow } from '../storage/presence.ts'

/** Who has not done anything for so long is `unavailable`, whatever their devices say (ms). */
const IDLE_MS = 5 * 60_000
/** Who has done something within this time is shown as active right now (ms). */
const ACTIVE_MS = 2 * 60_000
/** The longest `status_msg`, in characters. */
const MAX_STATUS_LENGTH = 1_024

/** What others see of a user's presence. */
export type Shown = { presence: Presence; currentlyActive: boolean }

/**
 * What the devices of a user add up to. Client-server API, "Presence".
 * @param lastActiveAt when the user last did something themselves (epoch ms)
 * @returns it, and when (epoch ms) time alone will change it
 */
export function addUp(
  devices: readonly DeviceRow[],
  lastActiveAt: number,
  now: number,
): Shown & { dueAt: number | null } {
  const alive = devices.filter((device) => device.expires_at > now)
  if (alive.length === 0) return { presence: 'offline', currentlyActive: false, dueAt: null }
  const idleFor = now - lastActiveAt
  const online = alive.some((device) => device.presence === 'online') && idleFor < IDLE_MS
  const currentlyActive = online && idleFor < ACTIVE_MS
  const next = currentlyActive ? lastActiveAt + ACTIVE_MS : lastActiveAt + IDLE_MS
  const expiries = alive.map((device) => device.expires_at)
  return {
    presence: online ? 'online' : 'unavailable',
    currentlyActive,
    dueAt: Math.min(...expiries, ...(online ? [next] : [])),
  }
}

/** What another server says of one of its users. */
export type RemotePresence = Shown & { userId: UserId; statusMsg: string | null; lastActiveAt: number }

/** The most users in one EDU that are looked at. */
const MOST_UPDATES = 1_000

/**
 * Reads the content of an `m.presence` EDU; what is malformed in it, or of a user of another server, is left out.
 * Server-server API, "Presence".
 * @param now epoch ms
 */
export function readPresence(origin: ServerName, content: unknown, now: number): RemotePresence[] {
  if (!isObject(content) || !Array.isArray(content.push)) return []
  return content.push.slice(0, MOST_UPDATES).flatMap((update) => readUpdate(origin, update, now) ?? [])
}

function readUpdate(origin: ServerName, update: unknown, now: number): RemotePresence | undefined {
  if (!isObject(update)) return undefined
  const { user_id: userId, presence, status_msg: status, last_active_ago: ago, currently_active: active } = update
  if (!isUserId(userId) || serverNameOf(userId) !== origin) return undefined
  if (presence !== 'online' && presence !== 'unavailable' && presence !== 'offline') return undefined
  const agoMs = Number.isSafeInteger(ago) ? Math.min(Math.max(ago as number, 0), now) : 0
  return {
    userId,
    presence,
    currentlyActive: presence === 'online' && active === true,
    statusMsg: typeof status === 'string' && status !== '' ? keepable(status) : null,
    lastActiveAt: now - agoMs,
  }
}

/** Cut to what is kept, and without what PostgreSQL cannot keep. */
function keepable(status: string): string {
  return status.slice(0, MAX_STATUS_LENGTH).replaceAll('\0', '').toWellFormed()
}

/** An answer to `GET /presence/{userId}/status`, and the content of an `m.presence` event. */
export function presenceContent(row: PresenceRow, now: number): JsonObject {
  return {
    presence: row.presence,
    last_active_ago: Math.max(now - row.last_active_at, 0),
    ...(row.presence === 'online' ? { currently_active: row.currently_active === 1 } : {}),
    ...(row.status_msg === null ? {} : { status_msg: row.status_msg }),
  }
}
