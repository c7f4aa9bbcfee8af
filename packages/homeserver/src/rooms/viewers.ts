import type { RoomId, UserId } from '../matrix/ids.ts'
import { isObject, tryParseJson } from '../matrix/json.ts'
import { accountDataContent } from '../storage/account-data.ts'
import { membershipRow, membershipRowsOf } from '../storage/memberships.ts'
import { lastDepartures } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'

/** Who looks at events: everything about them that decides what they are shown. */
export type Viewer = {
  userId: UserId
  /** Of a client's request: its own events carry their transaction IDs. */
  deviceId?: string | undefined
  /** Whose messages the user does not want to see. Client-server API, "Ignoring Users". */
  ignored: ReadonlySet<string>
  /**
   * Before which place of the stream events come that were sent before the user's last join of a room ended: infinity
   * while the user is in it, nothing if they never were.
   */
  joinedUntil: ReadonlyMap<RoomId, number>
}

/** A viewer of events of these rooms. */
export async function viewerOf(
  db: Db,
  requester: { userId: UserId; deviceId?: string | undefined },
  roomIds: readonly RoomId[],
): Promise<Viewer> {
  const { userId, deviceId } = requester
  const rows =
    roomIds.length === 1 ? [await membershipRow(db, roomIds[0]!, userId)] : await membershipRowsOf(db, userId, roomIds)
  const joined = rows.flatMap((row) => (row?.membership === 'join' ? [row.room_id] : []))
  const others = rows.flatMap((row) => (row && row.membership !== 'join' ? [row.room_id] : []))
  const departures = await lastDepartures(db, userId, others)
  const joinedUntil = new Map<RoomId, number>(joined.map((roomId) => [roomId, Number.POSITIVE_INFINITY]))
  for (const { room_id: roomId, position } of departures) joinedUntil.set(roomId, position)
  return { userId, deviceId, ignored: await ignoredBy(db, userId), joinedUntil }
}

/** Whom a user ignores; never themselves. */
export async function ignoredBy(db: Db, userId: UserId): Promise<ReadonlySet<string>> {
  const text = await accountDataContent(db, { userId, roomId: '', type: 'm.ignored_user_list' })
  const content = text === undefined ? undefined : tryParseJson(text)
  const users = isObject(content) ? content.ignored_users : undefined
  const ignored = new Set(isObject(users) ? Object.keys(users) : [])
  ignored.delete(userId)
  return ignored
}
