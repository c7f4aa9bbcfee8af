import type { StateMap } from '../matrix/events.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { EventRow } from '../storage/events.ts'
import type { Db } from '../storage/store.ts'
import type { ClientEvent } from './client-event.ts'
import { clientEvents, clientState } from './client-events.ts'
import { eventOf } from './events.ts'
import { formatTimelineStart } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import { accessRoom } from './room-access.ts'
import { ignoredBy, type Viewer } from './viewers.ts'
import { type SeenEvent, seenEvents } from './visibility.ts'

type Requester = Pick<Viewer, 'userId' | 'deviceId'>

/** How `/sync` looks at events of rooms, and shows them. */
export type SyncSource = {
  ignoredBy(db: Db, userId: UserId): Promise<ReadonlySet<string>>
  /** Which of these events a viewer may see, in the same order. See `visibility.ts`. */
  seen(db: Db, viewer: Viewer, rows: readonly EventRow[]): Promise<SeenEvent[]>
  /** State events that a viewer is shown whatever the history visibility says, since they are part of the state now. */
  asSeen(db: Db, rows: readonly EventRow[]): Promise<SeenEvent[]>
  /** Events as clients get them, without their room's ID, in the same order. */
  clientEvents(db: Db, viewer: Viewer, seen: readonly SeenEvent[], bundled: boolean): Promise<ClientEvent[]>
  clientState(db: Db, viewer: Viewer, rows: readonly EventRow[]): Promise<ClientEvent[]>
  /** The state in a state group. */
  state(db: Db, group: number): Promise<StateMap>
  /** @throws `M_FORBIDDEN` unless the user may read the room, or some of its events */
  requireReadable(requester: Requester, roomId: RoomId): Promise<void>
  /** The token for `/messages` that stands before a timeline which begins with an event. */
  tokenBefore(row: EventRow): string
}

export function createSyncSource(parts: RoomParts): SyncSource {
  return {
    ignoredBy,
    seen: (db, viewer, rows) => seenEvents(parts, db, viewer, rows),
    async asSeen(db, rows) {
      const versions = await parts.versions.load(
        db,
        rows.map((row) => row.room_id),
      )
      return rows.flatMap((row): SeenEvent[] => {
        const version = versions.get(row.room_id)
        if (!version) return []
        const event = eventOf(row, version)
        return [{ row, event, version, membership: 'leave', wasJoined: false, replaces: undefined }]
      })
    },
    clientEvents: (db, viewer, seen, bundled) => clientEvents(parts, db, viewer, seen, { withRoomId: false, bundled }),
    clientState: (db, viewer, rows) => clientState(parts, db, viewer, rows, { withRoomId: false }),
    state: async (db, group) => (await parts.states.load(db, group)).map,
    async requireReadable(requester, roomId) {
      await accessRoom(parts, parts.store.db, requester, roomId, { forEvents: true })
    },
    tokenBefore: (row) => formatTimelineStart(row),
  }
}
