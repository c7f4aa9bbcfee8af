import { forbidden, MatrixError } from '../../matrix/errors.ts'
import type { StateKeyTuple } from '../../matrix/events.ts'
import { isRoomId, type RoomId, type UserId } from '../../matrix/ids.ts'
import { isObject, type JsonObject } from '../../matrix/json.ts'
import { powerLevels } from '../../state/power-levels.ts'
import type { RoomVersion } from '../../state/room-versions.ts'
import { joinRuleOf, membershipOf } from '../../state/state-view.ts'
import { joinedRoomIds, localMembers } from '../../storage/memberships.ts'
import { roomsWithLocalMembers } from '../../storage/room-population.ts'
import type { Db } from '../../storage/store.ts'
import type { RoomParts } from '../ports.ts'
import { stateView } from '../state-view.ts'
import type { WritableRoom } from '../writable-room.ts'

/**
 * Whether a user may join by one of the conditions of a restricted room. `free`: the room's rules alone decide.
 * `granted`: one of our users, who may invite, vouches for it.
 */
export type JoinGrant =
  | { kind: 'free' }
  | { kind: 'granted'; authoriser: UserId }
  | { kind: 'fails' }
  | { kind: 'unable to authorise' }
  | { kind: 'unable to grant' }

/** Client-server API, "Restricted rooms"; server-server API, "Restricted rooms". */
export async function grantJoin(
  parts: Pick<RoomParts, 'events'>,
  room: WritableRoom,
  userId: UserId,
): Promise<JoinGrant> {
  const keys: StateKeyTuple[] = [
    ['m.room.create', ''],
    ['m.room.power_levels', ''],
    ['m.room.join_rules', ''],
    ['m.room.member', userId],
  ]
  const { db } = room.tx
  const state = await stateView(parts, db, room, room.current?.map ?? new Map(), keys)
  const membership = membershipOf(state, userId)
  if (!isRestricted(joinRuleOf(state), room.version) || membership === 'join' || membership === 'invite') {
    return { kind: 'free' }
  }
  if (membership === 'ban') return { kind: 'fails' }
  const met = await meetsCondition(db, userId, allowedRooms(state('m.room.join_rules', '')!.content))
  if (met !== 'met') return { kind: met }
  const levels = powerLevels(room.version, state)
  const authoriser = (await localMembers(db, room.roomId)).find(({ user_id }) => levels.of(user_id) >= levels.invite)
  return authoriser ? { kind: 'granted', authoriser: authoriser.user_id } : { kind: 'unable to grant' }
}

function isRestricted(rule: string, version: RoomVersion): boolean {
  return (
    (rule === 'restricted' && version.restrictedJoins) || (rule === 'knock_restricted' && version.knockRestrictedJoins)
  )
}

/** The rooms whose members may join. */
function allowedRooms({ allow }: JsonObject): RoomId[] {
  const conditions: unknown[] = Array.isArray(allow) ? allow : []
  return conditions
    .filter(isObject)
    .filter((condition) => condition.type === 'm.room_membership')
    .flatMap(({ room_id: roomId }) => (isRoomId(roomId) ? [roomId] : []))
}

async function meetsCondition(
  db: Db,
  userId: UserId,
  roomIds: readonly RoomId[],
): Promise<'met' | 'fails' | 'unable to authorise'> {
  const known = new Set(await roomsWithLocalMembers(db, roomIds))
  const joined = known.size > 0 ? await joinedRoomIds(db, userId) : []
  if (joined.some((roomId) => known.has(roomId))) return 'met'
  return roomIds.every((roomId) => known.has(roomId)) ? 'fails' : 'unable to authorise'
}

/** Whoever vouches for the join; nobody where the rules alone decide. @throws where the join is not granted */
export function authoriserOf(grant: JoinGrant): UserId | undefined {
  switch (grant.kind) {
    case 'free':
      return undefined
    case 'granted':
      return grant.authoriser
    case 'fails':
      throw forbidden('The user meets none of the conditions of this room')
    case 'unable to authorise':
      throw new MatrixError(400, 'M_UNABLE_TO_AUTHORISE_JOIN', 'This server cannot tell whether the conditions are met')
    case 'unable to grant':
      throw new MatrixError(400, 'M_UNABLE_TO_GRANT_JOIN', 'No user of this server may let others join this room')
  }
}
