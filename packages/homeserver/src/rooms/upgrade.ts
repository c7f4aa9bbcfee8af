import { MatrixError } from '../matrix/errors.ts'
import { stateEntryParts } from '../matrix/events.ts'
import { type EventId, isRoomId, type RoomId, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { beginRoom, newRoomId } from './create.ts'
import type { StateDraft } from './creation.ts'
import { followPredecessor } from './follow-predecessor.ts'
import { memberContent } from './member-content.ts'
import type { RoomParts } from './ports.ts'
import { send } from './send.ts'
import { notInRoom } from './speaking.ts'
import {
  closingLevels,
  type OldRoom,
  successorCreate,
  successorState,
  TRANSFERRED,
  type Upgrade,
} from './upgrade-plan.ts'
import type { RoomWriter, WritableRoom } from './writable-room.ts'

const CANONICAL_ALIAS = 'm.room.canonical_alias'
const POWER_LEVELS = 'm.room.power_levels'
const SINGLE = new Set<string>([...TRANSFERRED, POWER_LEVELS, CANONICAL_ALIAS, 'm.room.create'])

/** Replaces a room by another one. See `upgradeRoom`. */
export type Upgrading = (
  upgrader: UserId,
  roomId: RoomId,
  version: RoomVersion,
  additionalCreators: readonly UserId[],
) => Promise<RoomId>

/**
 * `POST /rooms/{roomId}/upgrade`: a new room with the state of the old one, which is closed with a tombstone; our aliases,
 * the place in our directory and what is the upgrader's own move along. All of it, or nothing. Client-server API, "Room
 * Upgrades", "Server behaviour".
 * @returns the ID of the new room
 * @throws `M_NOT_FOUND`; `M_FORBIDDEN` for whoever may not send tombstones there
 */
export function createUpgrading(parts: RoomParts, writer: RoomWriter): Upgrading {
  return async (upgrader, roomId, version, additionalCreators) => {
    const upgrade = { upgrader, version, additionalCreators }
    const ownContent = await memberContent(parts, upgrader, 'join')
    return writer.write(roomId, async (room) => {
      if (!room.current) throw notInRoom()
      const { old, canonicalAlias } = await readOldRoom(parts, room)
      const successor = await replace(parts, writer, room, old, upgrade, ownContent, canonicalAlias)
      if (canonicalAlias) await ifAllowed(sendState(parts, room, upgrader, CANONICAL_ALIAS, {}))
      const closed = closingLevels(old.contents.get(POWER_LEVELS) ?? {}, room.version)
      if (closed) await ifAllowed(sendState(parts, room, upgrader, POWER_LEVELS, closed))
      return successor
    })
  }
}

/** Makes the new room, and the tombstone that leads there: either names the other, as far as their IDs can be known. */
async function replace(
  parts: RoomParts,
  writer: RoomWriter,
  room: WritableRoom,
  old: OldRoom,
  upgrade: Upgrade,
  ownContent: JsonObject,
  canonicalAlias: JsonObject | undefined,
): Promise<RoomId> {
  const { tx } = room
  const { upgrader, version } = upgrade
  const bury = (successor: RoomId) =>
    sendState(parts, room, upgrader, 'm.room.tombstone', {
      body: 'This room has been replaced',
      replacement_room: successor,
    })

  const idIsFree = !version.roomIdIsCreateEvent
  const roomId = idIsFree ? newRoomId(parts) : undefined
  const tombstone = roomId && (await bury(roomId))
  const content = successorCreate(old, upgrade, tombstone)
  const beginning = { creator: upgrader, version, content, ...(roomId && { roomId }) }
  return beginRoom(parts, writer, tx, beginning, async (next) => {
    await sendState(parts, next, upgrader, 'm.room.member', ownContent, upgrader)
    for (const { type, stateKey, content } of successorState(old, upgrade)) {
      await sendState(parts, next, upgrader, type, content, stateKey)
    }
    if (!tombstone) await bury(next.roomId)
    await followPredecessor(parts, next, [upgrader], true)
    if (canonicalAlias) await sendState(parts, next, upgrader, CANONICAL_ALIAS, canonicalAlias)
  })
}

async function sendState(
  parts: RoomParts,
  room: WritableRoom,
  sender: UserId,
  type: string,
  content: JsonObject,
  stateKey = '',
): Promise<EventId> {
  return (await send(parts, room, { type, stateKey, sender, content })).eventId
}

/** What would be good to have, and is not for everybody with the power to upgrade. */
async function ifAllowed(sending: Promise<unknown>): Promise<void> {
  try {
    await sending
  } catch (error) {
    if (!(error instanceof MatrixError) || error.errcode !== 'M_FORBIDDEN') throw error
  }
}

/** What of the old room's state is taken along. */
async function readOldRoom(
  parts: RoomParts,
  room: WritableRoom,
): Promise<{ old: OldRoom; canonicalAlias: JsonObject | undefined }> {
  const entries = [...room.current!.map].map(([entry, eventId]) => ({ entry: stateEntryParts(entry), eventId }))
  const wanted = entries.filter(({ entry: [type, stateKey] }) => isTransferable(type, stateKey))
  const ids = wanted.map(({ eventId }) => eventId)
  const known = await parts.events.load(room.tx.db, room.version, ids)
  const contents = new Map<string, JsonObject>()
  const others: StateDraft[] = []
  for (const { entry, eventId } of wanted) {
    const [type, stateKey] = entry
    const content = known.get(eventId)?.event.content
    if (!content) continue
    if (stateKey === '') contents.set(type, content)
    else if (type === 'm.space.child' ? content.via !== undefined : content.membership === 'ban') {
      others.push({ type, stateKey, content })
    }
  }
  const createId = wanted.find(({ entry: [type] }) => type === 'm.room.create')!.eventId
  const create = known.get(createId)!.event
  return {
    old: { roomId: room.roomId, version: room.version, create, contents, others },
    canonicalAlias: contents.get(CANONICAL_ALIAS),
  }
}

function isTransferable(type: string, stateKey: string): boolean {
  if (type === 'm.space.child') return isRoomId(stateKey)
  return type === 'm.room.member' || (stateKey === '' && SINGLE.has(type))
}
