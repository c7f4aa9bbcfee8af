import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { badJson, MatrixError } from '../../matrix/errors.ts'
import { isUserId } from '../../matrix/ids.ts'
import { roomVersion } from '../../state/room-versions.ts'
import type { App } from '../app.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

/** Creators at most: their IDs are part of one event. */
const MAX_CREATORS = 200

const schema = {
  params: Type.Object({ roomId: Type.String() }),
  body: Type.Object({
    new_version: Type.String(),
    additional_creators: Type.Optional(Type.Array(Type.String(), { maxItems: MAX_CREATORS })),
  }),
}

/** `POST /rooms/{roomId}/upgrade`. Client-server API, "Room Upgrades". */
export function roomUpgrades(app: App, ctx: Context): void {
  for (const path of clientPaths('/rooms/:roomId/upgrade')) {
    app.post(path, { schema, config: { notSuspended: true } }, async ({ requester, params, body }) => {
      const version = roomVersion(body.new_version)
      if (!version) throw new MatrixError(400, 'M_UNSUPPORTED_ROOM_VERSION', 'This room version is not known here')
      const asked = version.privilegedCreators ? (body.additional_creators ?? []) : []
      const creators = [...new Set(asked.filter(isUserId))]
      if (asked.some((userId) => !isUserId(userId))) throw badJson('additional_creators are user IDs')
      const roomId = checkedRoomId(params.roomId)
      return { replacement_room: await ctx.rooms.upgrade(requester.userId, roomId, version, creators) }
    })
  }
}
