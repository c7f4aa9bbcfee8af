import { notFound } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/events.ts'
import type { RoomId } from '../matrix/ids.ts'
import { createKeyedLock } from '../platform/keyed-lock.ts'
import { type RoomVersion, roomVersion } from '../state/room-versions.ts'
import { addRoom, type Extremity, lockedRoomRow, saveRoom } from '../storage/rooms.ts'
import type { Tx } from '../storage/store.ts'
import type { RoomParts } from './ports.ts'
import type { State } from './states.ts'

/** A room inside of a transaction that may add events to it. Nobody else adds any meanwhile. */
export type WritableRoom = {
  readonly tx: Tx
  readonly roomId: RoomId
  readonly version: RoomVersion
  extremities: readonly Extremity[]
  depth: number
  /** The state after all extremities; `undefined` while we know only of the room. */
  current: State | undefined
  lastPosition: number
  published: boolean
  /** Events of ours that the room's policy server has been asked about. */
  advised?: readonly RoomEvent[]
}

/** Opens rooms for writing. */
export type RoomWriter = {
  /**
   * Runs `task` on the room in one transaction; what it changes of the room is written at the end.
   * @throws `M_NOT_FOUND` for a room that is not known
   */
  write<T>(roomId: RoomId, task: (room: WritableRoom) => Promise<T>): Promise<T>
  /** The same for a room that may not be known yet. */
  writeNew<T>(roomId: RoomId, version: RoomVersion, task: (room: WritableRoom) => Promise<T>): Promise<T>
  /** The same in a transaction that runs already, for a room that nobody else can know of yet. */
  writeWithin<T>(tx: Tx, roomId: RoomId, version: RoomVersion, task: (room: WritableRoom) => Promise<T>): Promise<T>
}

/** @param settle does what has to follow what a task has changed, in the same transaction */
export function createRoomWriter(
  { store, clock, states }: Pick<RoomParts, 'store' | 'clock' | 'states'>,
  settle: (room: WritableRoom, before: Readonly<WritableRoom>) => Promise<void> = async () => {},
): RoomWriter {
  // Whoever waits for another writer of the same room does so without a connection to the database.
  const lock = createKeyedLock()

  async function open(tx: Tx, roomId: RoomId): Promise<WritableRoom> {
    const row = await lockedRoomRow(tx.db, roomId)
    const version = row && roomVersion(row.version)
    if (!row || !version) throw notFound('This room is not known here')
    const current = row.stateGroup === null ? undefined : await states.load(tx.db, row.stateGroup)
    const { extremities, depth, lastPosition, published } = row
    return { tx, roomId, version, extremities, depth, current, lastPosition, published }
  }

  async function run<T>(tx: Tx, roomId: RoomId, task: (room: WritableRoom) => Promise<T>): Promise<T> {
    const room = await open(tx, roomId)
    const before = { ...room }
    const result = await task(room)
    await settle(room, before)
    if (hasChanged(before, room)) await saveRoom(tx.db, { ...room, stateGroup: room.current?.id ?? null })
    return result
  }

  async function runNew<T>(tx: Tx, roomId: RoomId, version: RoomVersion, task: (room: WritableRoom) => Promise<T>) {
    await addRoom(tx.db, roomId, version.id, clock.now())
    return run(tx, roomId, task)
  }

  return {
    write: (roomId, task) => lock(roomId, () => store.transaction((tx) => run(tx, roomId, task))),
    writeNew: (roomId, version, task) =>
      lock(roomId, () => store.transaction((tx) => runNew(tx, roomId, version, task))),
    writeWithin: runNew,
  }
}

function hasChanged(before: WritableRoom, after: WritableRoom): boolean {
  return (
    before.extremities !== after.extremities ||
    before.current !== after.current ||
    before.lastPosition !== after.lastPosition ||
    before.depth !== after.depth
  )
}
