import { badJson, invalidParam, MatrixError, notFound } from '../matrix/errors.ts'
import { isRoomAlias, parseServerName, type RoomAlias, type RoomId } from '../matrix/ids.ts'
import { isObject, type JsonObject } from '../matrix/json.ts'
import { powerLevelsMalformation } from '../state/power-level-rules.ts'
import { type RoomVersion, roomVersion } from '../state/room-versions.ts'
import { creatorsOf } from '../state/state-view.ts'
import { currentStateEventId } from '../storage/room-state.ts'
import { roomRow } from '../storage/rooms.ts'
import type { AliasResolver } from './alias-resolver.ts'
import { currentContents } from './current-contents.ts'
import type { RoomParts } from './ports.ts'
import { isDeniedByAcl } from './server-acl.ts'

const CANONICAL_ALIAS = 'm.room.canonical_alias'
/** Aliases that one event may bring; each may have to be asked for. */
const MAX_NEW_ALIASES = 100

/**
 * Looks at what a client says in a room, state above all, where the rules of rooms let through what would harm the room. May
 * ask other servers.
 */
export type StateCheck = (
  roomId: RoomId,
  state: { type: string; stateKey?: string | undefined; content: JsonObject },
) => Promise<void>

/**
 * Client-server API, "PUT /rooms/{roomId}/state": new aliases have to be aliases (`M_INVALID_PARAM`) of this room
 * (`M_BAD_ALIAS`); power levels have to be levels, and none of creators that have all power, and nobody shuts their own
 * server out (`M_BAD_JSON`); a room is created once (`M_INVALID_PARAM`).
 */
export function createStateCheck(
  { store, serverName, events }: RoomParts,
  resolve: AliasResolver['resolve'],
): StateCheck {
  async function checkAliases(roomId: RoomId, content: JsonObject): Promise<void> {
    const contents = await currentContents(store.db, [roomId], [CANONICAL_ALIAS])
    const known = new Set(namedAliases(contents.get(roomId)!.get(CANONICAL_ALIAS)))
    const added = [...new Set(namedAliases(content))].filter((alias) => !known.has(alias))
    if (added.length > MAX_NEW_ALIASES) throw badJson('Too many aliases at once')
    const wrong = added.find((alias) => !isRoomAlias(alias))
    if (wrong !== undefined) throw invalidParam('This is not a room alias')
    for (const alias of added as RoomAlias[]) {
      const resolved = await resolve(alias).catch(unlessUnreachable)
      if (resolved?.roomId !== roomId) {
        throw new MatrixError(400, 'M_BAD_ALIAS', `The alias ${alias} does not point to this room`)
      }
    }
  }

  /** Nobody may do that, whatever power they have: it is a mistake in what they say. */
  async function creatorsGivenLevels(
    roomId: RoomId,
    version: RoomVersion,
    { users }: JsonObject,
  ): Promise<string | undefined> {
    if (!version.privilegedCreators || !isObject(users)) return undefined
    const createId = await currentStateEventId(store.db, roomId, 'm.room.create', '')
    const create = createId && (await events.load(store.db, version, [createId])).get(createId)?.event
    const named = create ? creatorsOf(create, version).find((userId) => Object.hasOwn(users, userId)) : undefined
    return named === undefined ? undefined : 'Creators of a room are not given a power level'
  }

  async function checkPowerLevels(roomId: RoomId, content: JsonObject): Promise<void> {
    const version = roomVersion((await roomRow(store.db, roomId))?.version ?? '')
    if (!version) throw notFound('This room is not known here')
    const wrong = powerLevelsMalformation(content, version) ?? (await creatorsGivenLevels(roomId, version, content))
    if (wrong !== undefined) throw badJson(wrong)
  }

  return async (roomId, { type, stateKey, content }) => {
    if (type === 'm.room.tombstone' && content.replacement_room === roomId) {
      throw invalidParam('A room cannot be replaced by itself')
    }
    if (stateKey !== '') return
    if (type === 'm.room.create') throw invalidParam('A room has one m.room.create event')
    if (type === CANONICAL_ALIAS) await checkAliases(roomId, content)
    if (type === 'm.room.power_levels') await checkPowerLevels(roomId, content)
    // Lists do not know of ports: what they say of our host may be meant for another server on it.
    const isAloneOnHost = parseServerName(serverName)!.port === undefined
    if (type === 'm.room.server_acl' && isAloneOnHost && isDeniedByAcl(content, serverName)) {
      throw badJson('This would shut your own server out of the room')
    }
  }
}

/** All that stands where an alias belongs; a missing, empty or `null` alias is none. */
function namedAliases(content: unknown): unknown[] {
  if (!isObject(content)) return []
  const { alias, alt_aliases: others } = content
  const first = alias === undefined || alias === null || alias === '' ? [] : [alias]
  if (others === undefined || others === null) return first
  return [...first, ...(Array.isArray(others) ? others : [others])]
}

function unlessUnreachable(error: unknown): undefined {
  if (!(error instanceof MatrixError)) throw error
}
