import { notFound } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { eventRow } from '../storage/events.ts'
import { membershipRow } from '../storage/memberships.ts'
import { addReport } from '../storage/reports.ts'
import { roomRow } from '../storage/rooms.ts'
import type { RoomParts } from './ports.ts'

type Remark = { reason: string | undefined; score?: number | undefined }

/** What users report to the operators. Client-server API, "Reporting Content". */
export type Reports = {
  /** @throws `M_NOT_FOUND` if there is no such event, or the user is not in its room */
  reportEvent(reporter: UserId, roomId: RoomId, eventId: EventId, remark: Remark): Promise<void>
  /** Also of rooms that the user is not in. @throws `M_NOT_FOUND` for a room that is not known here */
  reportRoom(reporter: UserId, roomId: RoomId, remark: Remark): Promise<void>
  /** Whether or not there is such a user: the answer is no way to find out. */
  reportUser(reporter: UserId, userId: UserId, remark: Remark): Promise<void>
}

export function createReports({ store, clock }: Pick<RoomParts, 'store' | 'clock'>): Reports {
  return {
    async reportEvent(reporter, roomId, eventId, remark) {
      const own = await membershipRow(store.db, roomId, reporter)
      const row = own?.membership === 'join' ? await eventRow(store.db, eventId) : undefined
      if (row?.room_id !== roomId || row.position === null || row.status !== 'accepted') {
        throw notFound('There is no such event, or you are not in its room')
      }
      await addReport(store.db, { reporter, roomId, eventId, ...remark }, clock.now())
    },
    async reportRoom(reporter, roomId, remark) {
      if (!(await roomRow(store.db, roomId))) throw notFound('This room is not known here')
      await addReport(store.db, { reporter, roomId, ...remark }, clock.now())
    },
    async reportUser(reporter, userId, remark) {
      await addReport(store.db, { reporter, userId, ...remark }, clock.now())
    },
  }
}
