import type { Db } from '../storage/store.ts'
import type { ClientEvent } from './client-event.ts'
import { clientEvents } from './client-events.ts'
import { readStretch } from './event-stretch.ts'
import { eventOf } from './events.ts'
import { senderMemberships } from './lazy-members.ts'
import { formatPlace, placeAfter, placeBefore } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import { accessRoom } from './room-access.ts'
import type { Viewer } from './viewers.ts'
import type { SeenEvent } from './visibility.ts'

/** How many events before and after a result are shown with it, and whether what their senders were called. */
export type ContextSize = { before: number; after: number; profiles: boolean }

type Profile = { displayname?: string; avatar_url?: string }

export type ResultContext = {
  start: string
  end: string
  events_before: ClientEvent[]
  events_after: ClientEvent[]
  profile_info?: Record<string, Profile>
}

/** What was said around an event that was found. */
export async function resultContext(
  parts: RoomParts,
  db: Db,
  requester: Pick<Viewer, 'userId' | 'deviceId'>,
  seen: SeenEvent,
  { before, after, profiles }: ContextSize,
): Promise<ResultContext> {
  const access = await accessRoom(parts, db, requester, seen.event.roomId, { forEvents: true })
  const back = await readStretch(parts, db, access, {
    dir: 'b',
    from: placeBefore(seen.row),
    limit: before,
    filter: {},
  })
  const forth = await readStretch(parts, db, access, {
    dir: 'f',
    from: placeAfter(seen.row),
    limit: after,
    filter: {},
  })
  const around = [...back.events, ...forth.events]
  const client = await clientEvents(parts, db, access.viewer, around, { withRoomId: true, bundled: false })
  return {
    start: formatPlace(back.end),
    end: formatPlace(forth.end),
    events_before: client.slice(0, back.events.length),
    events_after: client.slice(back.events.length),
    ...(profiles && {
      profile_info: await profilesOf(parts, db, [...back.events.toReversed(), seen, ...forth.events]),
    }),
  }
}

async function profilesOf(parts: RoomParts, db: Db, events: readonly SeenEvent[]): Promise<Record<string, Profile>> {
  const rows = await senderMemberships(parts, db, events)
  return Object.fromEntries(
    rows.map((row) => {
      const { displayname, avatar_url: avatar } = eventOf(row, events[0]!.version).content
      const profile: Profile = {
        ...(typeof displayname === 'string' ? { displayname } : {}),
        ...(typeof avatar === 'string' ? { avatar_url: avatar } : {}),
      }
      return [row.state_key!, profile]
    }),
  )
}
