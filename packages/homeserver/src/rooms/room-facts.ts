import type { EventId, RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { eventFacts, eventRow } from '../storage/events.ts'
import { membershipRow } from '../storage/memberships.ts'
import { serversIn } from '../storage/room-population.ts'
import type { Db } from '../storage/store.ts'

/** Through so many events an event's thread is looked for. Client-server API, "Threading", "Server behaviour". */
const HOPS = 3

/** What features beside rooms ask of one room, as of the transaction that they ask in. */
export function roomFacts(serverName: ServerName) {
  return {
    async isJoined(db: Db, roomId: RoomId, userId: UserId): Promise<boolean> {
      return (await membershipRow(db, roomId, userId))?.membership === 'join'
    },

    /** The other servers that have a user in the room. */
    async otherServers(db: Db, roomId: RoomId): Promise<ServerName[]> {
      return (await serversIn(db, roomId)).filter((server) => server !== serverName)
    },

    /** The place of an event that clients are shown. */
    async eventPosition(db: Db, roomId: RoomId, eventId: EventId): Promise<{ position: number } | undefined> {
      const found = (await eventFacts(db, [eventId])).get(eventId)
      if (found?.room_id !== roomId || found.status !== 'accepted' || found.position === null) return undefined
      return { position: found.position }
    },

    /** The root of the thread that an event is in, directly or by what it relates to; `main` if it is in none. */
    async threadOf(db: Db, roomId: RoomId, eventId: EventId): Promise<EventId | 'main' | undefined> {
      let row = await eventRow(db, eventId)
      if (row?.room_id !== roomId) return undefined
      for (let hop = 0; hop < HOPS && row?.room_id === roomId && row.relates_to !== null; hop++) {
        if (row.rel_type === 'm.thread') return row.relates_to
        row = await eventRow(db, row.relates_to)
      }
      return 'main'
    },
  }
}
