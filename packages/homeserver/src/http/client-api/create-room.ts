import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { badJson, invalidParam, MatrixError } from '../../matrix/errors.ts'
import { isRoomAlias, isUserId, type RoomAlias, type RoomId, type UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { createSemaphore } from '../../platform/semaphore.ts'
import type { Preset } from '../../rooms/creation.ts'
import { roomVersion } from '../../state/room-versions.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { clientPaths } from './versions-of.ts'

const object = Type.Unsafe<JsonObject>(Type.Object({}))
/** People invited with a new room, and events given with it, at most. */
const MAX_INVITED = 200
const MAX_STATE = 500
/** People who are invited at the same time: their servers may be slow. */
const PARALLEL_INVITES = 10

const schema = {
  body: Type.Optional(
    Type.Object({
      visibility: Type.Optional(Type.String()),
      preset: Type.Optional(Type.String()),
      room_alias_name: Type.Optional(plainText(255)),
      name: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      topic: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      invite: Type.Optional(Type.Array(Type.String(), { maxItems: MAX_INVITED })),
      invite_3pid: Type.Optional(Type.Array(Type.Unknown())),
      room_version: Type.Optional(Type.String()),
      creation_content: Type.Optional(object),
      initial_state: Type.Optional(
        Type.Array(Type.Object({ type: plainText(255), state_key: Type.Optional(plainText(255)), content: object }), {
          maxItems: MAX_STATE,
        }),
      ),
      is_direct: Type.Optional(Type.Boolean()),
      power_level_content_override: Type.Optional(object),
    }),
  ),
}
const PRESETS: readonly Preset[] = ['private_chat', 'trusted_private_chat', 'public_chat']

/** `POST /createRoom`. Client-server API, "Creation". */
export function createRoomRoutes(app: App, ctx: Context): void {
  for (const path of clientPaths('/createRoom')) {
    app.post(path, { schema, config: { notSuspended: true } }, async ({ requester, body = {} }) => {
      const versionId = body.room_version ?? ctx.settings.defaultRoomVersion
      const version = roomVersion(versionId)
      if (!version) throw new MatrixError(400, 'M_UNSUPPORTED_ROOM_VERSION', 'This room version is not known here')
      if (body.invite_3pid && body.invite_3pid.length > 0) {
        throw new MatrixError(403, 'M_THREEPID_DENIED', 'This server invites nobody by e-mail or phone')
      }
      if (version.privilegedCreators) requireUserIds(body.creation_content?.additional_creators)
      const isPublic = body.visibility === 'public'
      const invite = invited(body.invite ?? [])
      const roomId = await ctx.rooms.create(requester.userId, version, {
        preset: presetOf(body.preset, isPublic),
        publish: isPublic,
        name: body.name ?? undefined,
        topic: body.topic ?? undefined,
        alias: body.room_alias_name === undefined ? undefined : aliasOf(body.room_alias_name, ctx),
        invite,
        creationContent: body.creation_content ?? {},
        initialState: (body.initial_state ?? []).map(({ type, state_key: stateKey = '', content }) => ({
          type,
          stateKey,
          content,
        })),
        powerLevelOverride: body.power_level_content_override ?? {},
      })
      const more = body.is_direct ? { is_direct: true } : {}
      await inviteAll(ctx, roomId, requester.userId, invite, more)
      return { room_id: roomId }
    })
  }
}

function requireUserIds(creators: unknown): void {
  if (creators === undefined) return
  if (!Array.isArray(creators) || !creators.every(isUserId)) throw badJson('additional_creators are user IDs')
}

function presetOf(preset: string | undefined, isPublic: boolean): Preset {
  if (preset === undefined) return isPublic ? 'public_chat' : 'private_chat'
  const known = PRESETS.find((one) => one === preset)
  if (!known) throw badJson('This preset is not known')
  return known
}

function invited(userIds: readonly string[]): UserId[] {
  const wrong = userIds.find((userId) => !isUserId(userId))
  if (wrong !== undefined) throw invalidParam(`${wrong} is not a user ID`)
  return [...new Set(userIds as UserId[])]
}

function aliasOf(name: string, { settings }: Context): RoomAlias {
  const alias = `#${name}:${settings.serverName}`
  if (name.includes(':') || !isRoomAlias(alias)) throw invalidParam('This is not the local part of an alias')
  return alias
}

/** Everybody who can be reached is invited, and then it is said if somebody could not. */
async function inviteAll(
  { rooms }: Context,
  roomId: RoomId,
  sender: UserId,
  targets: readonly UserId[],
  more: JsonObject,
): Promise<void> {
  const permits = createSemaphore(PARALLEL_INVITES)
  const invite = (target: UserId) => permits.run(() => rooms.members.invite(roomId, { sender, target, more }))
  const results = await Promise.allSettled(targets.map(invite))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
