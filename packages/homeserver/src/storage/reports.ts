import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** What a user tells the operators of this server: of an event, a room or a user. */
export type Report = {
  reporter: UserId
  roomId?: RoomId | undefined
  eventId?: EventId | undefined
  userId?: UserId | undefined
  reason: string | undefined
  score?: number | undefined
}

/** @param now epoch ms */
export async function addReport(db: Db, report: Report, now: number): Promise<void> {
  await db
    .insertInto('reports')
    .values({
      reporter: report.reporter,
      room_id: report.roomId ?? null,
      event_id: report.eventId ?? null,
      user_id: report.userId ?? null,
      reason: report.reason ?? null,
      score: report.score ?? null,
      reported_at: now,
    })
    .execute()
}
