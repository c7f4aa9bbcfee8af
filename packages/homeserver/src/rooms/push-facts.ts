import type { RoomEvent } from '../matrix/events.ts'
import { type EventId, isUserId, type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { powerLevels } from '../state/power-levels.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { localMembers } from '../storage/memberships.ts'
import { joinedCount } from '../storage/room-population.ts'
import { currentStateEventId } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'
import type { RoomParts } from './ports.ts'
import { roomFacts } from './room-facts.ts'

/** All that push rules ask about an event. */
export type RoomPushFacts = {
  /** The event as clients are shown it. */
  event: { room_id: RoomId; event_id: EventId; type: string; sender: UserId; content: JsonObject; state_key?: string }
  /** The root of its thread, or `main`. */
  threadId: EventId | 'main'
  /** Those of our users who are in the room, or whom the event invites. */
  members: { userId: UserId; displayName: string | undefined }[]
  memberCount: number
  senderPowerLevel: number
  notificationLevel(key: string): number
}

/** Facts about an event, by the state of its room now. */
export function createPushFacts(parts: Pick<RoomParts, 'events' | 'serverName'>) {
  const facts = roomFacts(parts.serverName)

  async function levels(db: Db, roomId: RoomId, version: RoomVersion) {
    const ids = new Map<string, EventId>()
    for (const type of ['m.room.create', 'm.room.power_levels']) {
      const eventId = await currentStateEventId(db, roomId, type, '')
      if (eventId) ids.set(type, eventId)
    }
    const known = await parts.events.load(db, version, ids.values())
    return powerLevels(version, (type, stateKey) =>
      stateKey === '' && ids.has(type) ? known.get(ids.get(type)!)?.event : undefined,
    )
  }

  return async (db: Db, event: RoomEvent, version: RoomVersion): Promise<RoomPushFacts> => {
    const { roomId, eventId, type, sender, content, stateKey } = event
    const members = (await localMembers(db, roomId)).map((row) => ({
      userId: row.user_id,
      displayName: row.display_name ?? undefined,
    }))
    const invited = invitedBy(event)
    if (invited && serverNameOf(invited) === parts.serverName) members.push({ userId: invited, displayName: undefined })
    const power = await levels(db, roomId, version)
    return {
      event: {
        room_id: roomId,
        event_id: eventId,
        type,
        sender,
        content,
        ...(stateKey === undefined ? {} : { state_key: stateKey }),
      },
      threadId: (await facts.threadOf(db, roomId, eventId)) ?? 'main',
      members,
      memberCount: await joinedCount(db, roomId),
      senderPowerLevel: power.of(sender),
      notificationLevel: power.notifications,
    }
  }
}

function invitedBy({ type, stateKey, content }: RoomEvent): UserId | undefined {
  if (type !== 'm.room.member' || content.membership !== 'invite') return undefined
  return isUserId(stateKey) ? stateKey : undefined
}
