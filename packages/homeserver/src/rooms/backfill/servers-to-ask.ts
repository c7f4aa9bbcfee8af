import { isUserId, type RoomId, type ServerName, serverNameOf } from '../../matrix/ids.ts'
import { entriesOf } from '../../matrix/json.ts'
import type { RoomVersion } from '../../state/room-versions.ts'
import { serversIn } from '../../storage/room-population.ts'
import { currentStateEventId } from '../../storage/room-state.ts'
import type { RoomParts } from '../ports.ts'

type Parts = Pick<RoomParts, 'store' | 'events' | 'serverName' | 'remote'>

/**
 * The servers in a room that are likely to have its history, the likeliest first: those of users with power, who tend to
 * have been there from the beginning, the creator's, then all others.
 */
export async function serversToAsk(
  { store, events, serverName, remote }: Parts,
  { roomId, version }: { roomId: RoomId; version: RoomVersion },
): Promise<ServerName[]> {
  const inRoom = await serversIn(store.db, roomId)
  const [levelsId, createId] = await Promise.all(
    ['m.room.power_levels', 'm.room.create'].map((type) => currentStateEventId(store.db, roomId, type, '')),
  )
  const known = await events.load(
    store.db,
    version,
    [levelsId, createId].filter((id) => id !== undefined),
  )
  const levels = levelsId === undefined ? undefined : known.get(levelsId)?.event.content.users
  const creator = createId === undefined ? undefined : known.get(createId)?.event.sender
  const powerful = entriesOf(levels)
    .filter(([userId, level]) => isUserId(userId) && Number(level) > 0)
    .sort(([, a], [, b]) => Number(b) - Number(a))
    .map(([userId]) => serverNameOf(userId as never))
  const first = [...powerful, ...(creator ? [serverNameOf(creator)] : [])]
  const present = new Set(inRoom)
  const ordered = new Set([...first.filter((server) => present.has(server)), ...inRoom])
  return [...ordered].filter((server) => server !== serverName && remote.isAllowed(server))
}
