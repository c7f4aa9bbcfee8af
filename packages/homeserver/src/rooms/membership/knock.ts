import { forbidden } from '../../matrix/errors.ts'
import type { RoomEvent } from '../../matrix/events.ts'
import type { RoomId, ServerName, UserId } from '../../matrix/ids.ts'
import { isObject, type JsonObject } from '../../matrix/json.ts'
import { readEvent } from '../../state/read-event.ts'
import type { RoomVersion } from '../../state/room-versions.ts'
import { hasLocalMember } from '../../storage/room-population.ts'
import { saveStrippedState } from '../../storage/stripped-state.ts'
import { memberContent } from '../member-content.ts'
import type { RoomParts } from '../ports.ts'
import { verifyEvents } from '../verify-events.ts'
import type { RoomWriter, WritableRoom } from '../writable-room.ts'
import { deliver, prepare, serversToAsk, throughServers } from './handshake.ts'
import { changeMember, memberEvent } from './member-change.ts'
import { noteOutside } from './outside.ts'
import { shownState, strippedText } from './stripped-state.ts'

const SEND_LIMITS = { timeoutMs: 30_000, maxBytes: 4 * 1024 * 1024 }
const ENDPOINTS = ['v1/send_knock']
/** Events of a room that are shown to whoever is outside. */
const MAX_SHOWN = 50

/**
 * Knocks on a room: here if we are in it, else with the help of another server. Server-server API, "Knocking upon a room".
 * @throws `M_FORBIDDEN`, `M_NOT_FOUND`, 502
 */
export async function knockOn(
  parts: RoomParts,
  writer: RoomWriter,
  userId: UserId,
  roomId: RoomId,
  { via, more }: { via: readonly ServerName[]; more: JsonObject },
): Promise<void> {
  const content = await memberContent(parts, userId, 'knock', more)
  if (await hasLocalMember(parts.store.db, roomId)) {
    await writer.write(roomId, (room) => knockHere(parts, room, userId, content))
    return
  }
  const outsider = { roomId, userId }
  const servers = await serversToAsk(parts, outsider, via)
  await throughServers(servers, async (server) => {
    const prepared = await prepare(parts, server, 'knock', outsider, content)
    if ('kind' in prepared) return prepared
    const answer = await deliver(parts, prepared, ENDPOINTS, SEND_LIMITS)
    if ('kind' in answer) return answer
    const { version, event } = prepared
    const shown = await shownByServer(parts, roomId, version, answer.body.knock_room_state)
    await parts.store.transaction((tx) => noteOutside(parts, tx, version, event, { events: shown, toldBy: server }))
    return { done: true }
  })
}

async function knockHere(parts: RoomParts, room: WritableRoom, userId: UserId, content: JsonObject): Promise<void> {
  const known = await memberEvent(parts, room, userId)
  if (known?.content.membership === 'knock') return
  if (known?.content.membership === 'join') throw forbidden('You are in this room already')
  await changeMember(parts, room, {
    sender: userId,
    target: userId,
    content: { ...content, membership: 'knock' },
  })
  const event = await memberEvent(parts, room, userId)
  if (!event) return
  const shown = await shownState(parts, room, event)
  const events = strippedText([...shown, event])
  await saveStrippedState(room.tx.db, { roomId: room.roomId, userId, events, toldBy: parts.serverName })
}

/**
 * What a server shows of a room from outside: whole events are looked at as such, and those left out that are not good. Of
 * servers that show no whole events, what is shown is taken as it is.
 * @param shown anything
 */
export async function shownByServer(
  parts: RoomParts,
  roomId: RoomId,
  version: RoomVersion,
  shown: unknown,
): Promise<RoomEvent[]> {
  const list = (Array.isArray(shown) ? shown : []).slice(0, MAX_SHOWN).filter(isObject)
  const isWhole = (event: Record<string, unknown>) => !('invalid' in readEvent(event, version))
  const whole = await verifyEvents(parts, list.filter(isWhole), version)
  const good = whole.flatMap((one) => ('event' in one && one.event.roomId === roomId ? [one.event] : []))
  const bare = list.filter((event) => !isWhole(event) && !Object.hasOwn(event, 'signatures')).flatMap(strippedEvent)
  return [...good, ...bare].filter((event) => event.stateKey !== undefined)
}

/** An event of which no more is known than clients are shown. */
function strippedEvent(event: Record<string, unknown>): RoomEvent[] {
  const { type, state_key: stateKey, sender, content } = event
  if (typeof type !== 'string' || typeof stateKey !== 'string' || typeof sender !== 'string') return []
  if (!isObject(content) || [type, stateKey, sender].some((text) => text.length > 255 || text.includes('\0'))) return []
  return [{ type, stateKey, sender, content } as unknown as RoomEvent]
}
