import { badJson, MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/events.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { opaqueId } from '../platform/random.ts'
import { authorize } from '../state/authorization.ts'
import { buildEvent } from '../state/build-event.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { setPublished } from '../storage/rooms.ts'
import type { Tx } from '../storage/store.ts'
import { addAlias } from './aliases.ts'
import { append } from './append.ts'
import { createContent, initialState, type RoomWish } from './creation.ts'
import { memberContent } from './member-content.ts'
import type { RoomParts } from './ports.ts'
import { newEventId, send } from './send.ts'
import type { RoomWriter, WritableRoom } from './writable-room.ts'

/**
 * Makes a room: all of its first events, its alias and its place in the directory, or nothing. Those to be invited are
 * not yet. Client-server API, "POST /createRoom".
 * @throws `M_INVALID_ROOM_STATE` if the wish contradicts the rules of rooms; `M_ROOM_IN_USE` if the alias is taken
 */
export async function createRoom(
  parts: RoomParts,
  writer: RoomWriter,
  creator: UserId,
  version: RoomVersion,
  wish: RoomWish & { publish: boolean },
): Promise<RoomId> {
  const ownContent = await memberContent(parts, creator, 'join')
  const fill = async (room: WritableRoom) => {
    await send(parts, room, { type: 'm.room.member', stateKey: creator, sender: creator, content: ownContent })
    if (wish.alias !== undefined) await addAlias(room.tx.db, wish.alias, room.roomId, creator, parts.clock.now())
    for (const draft of initialState(wish, creator, version)) {
      await send(parts, room, { ...draft, sender: creator }).catch(asInvalidState)
    }
    if (wish.publish) await setPublished(room.tx.db, room.roomId, true)
  }
  const content = createContent(wish, creator, version)
  return parts.store.transaction((tx) => beginRoom(parts, writer, tx, { creator, version, content }, fill))
}

/** What a room begins with. Without an ID, one is made up, or follows from the create event. */
type Beginning = { creator: UserId; version: RoomVersion; content: JsonObject; roomId?: RoomId }

/** An ID for a room to be. Room versions 12 and later make one of the create event instead. */
export function newRoomId({ random, serverName }: Pick<RoomParts, 'random' | 'serverName'>): RoomId {
  return `!${opaqueId(random)}:${serverName}` as RoomId
}

/**
 * Makes a room of its create event, and of what `fill` adds, in a transaction that runs.
 * @throws `M_INVALID_ROOM_STATE` if the content is none that a create event may have
 */
export async function beginRoom(
  parts: RoomParts,
  writer: RoomWriter,
  tx: Tx,
  beginning: Beginning,
  fill: (room: WritableRoom) => Promise<void>,
): Promise<RoomId> {
  // Of room version 12, two rooms made alike in the same millisecond would be one: the next millisecond is free.
  for (let originServerTs = parts.clock.now(); ; originServerTs++) {
    const create = createEvent(parts, beginning, originServerTs)
    const isNew = await writer.writeWithin(tx, create.roomId, beginning.version, async (room) => {
      if (room.extremities.length > 0) return false
      await append(parts, room, { event: create, before: undefined })
      await fill(room)
      return true
    })
    if (isNew) return create.roomId
  }
}

function createEvent(parts: RoomParts, beginning: Beginning, originServerTs: number): RoomEvent {
  const { random, serverName, signingKey } = parts
  const { creator, version, content, roomId } = beginning
  const create = buildEvent(
    {
      roomId: version.roomIdIsCreateEvent ? undefined : (roomId ?? newRoomId(parts)),
      type: 'm.room.create',
      stateKey: '',
      sender: creator,
      content,
      prevEvents: [],
      authEvents: [],
      depth: 1,
      originServerTs,
      eventId: newEventId(random, serverName),
    },
    version,
    serverName,
    signingKey,
  )
  if ('invalid' in create) throw badJson(create.invalid)
  const verdict = authorize(create, version, () => undefined)
  if (!verdict.allowed) throw invalidState(verdict.reason)
  return create
}

/** What the creator may not do in the own new room contradicts itself. */
function asInvalidState(error: unknown): never {
  throw error instanceof MatrixError && error.errcode === 'M_FORBIDDEN' ? invalidState(error.message) : error
}

const invalidState = (reason: string) => new MatrixError(400, 'M_INVALID_ROOM_STATE', reason)
