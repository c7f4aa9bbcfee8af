import type { Generated } from 'kysely'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'

/** The tables of search and reports. What the columns mean is said in `migrations/0006-search-and-reports.ts`. */
export type ReadingTables = {
  event_texts: {
    id: Generated<number>
    event_id: EventId
    room_id: RoomId
    place: string
    origin_server_ts: number
  }
  reports: {
    id: Generated<number>
    reporter: UserId
    room_id: RoomId | null
    event_id: EventId | null
    user_id: UserId | null
    reason: string | null
    score: number | null
    reported_at: number
  }
}
