import { type TSchema, Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam, MatrixError, missingParam } from '../../matrix/errors.ts'
import { isServerName, isUserId, type RoomAlias, type RoomId, type ServerName, type UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { isRoomIdOrAlias } from '../../rooms/members.ts'
import type { App } from '../app.ts'
import { optionalBody } from '../optional-body.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

const orNull = <Schema extends TSchema>(schema: Schema) => Type.Optional(Type.Union([schema, Type.Null()]))
const reason = orNull(Type.String())
const servers = Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())]))
const roomParams = Type.Object({ roomId: Type.String() })
const ownBody = optionalBody(Type.Object({ reason, third_party_signed: Type.Optional(Type.Unknown()) }))

const ownSchema = { params: roomParams, body: ownBody }
const anywhereSchema = {
  params: Type.Object({ roomIdOrAlias: Type.String() }),
  querystring: Type.Object({ via: servers, server_name: servers }),
  body: ownBody,
}
const otherSchema = {
  params: roomParams,
  body: Type.Object({
    user_id: Type.Optional(Type.String()),
    reason,
    medium: Type.Optional(Type.Unknown()),
    address: Type.Optional(Type.Unknown()),
  }),
}
const guests = { config: { guests: true } }
const notSuspended = { config: { notSuspended: true } }
/** Servers that a client may name. */
const MAX_SERVERS = 50

/** Client-server API, "Room membership": joining, knocking, inviting, leaving, kicking, banning, and the list of one's rooms. */
export function roomMembership(app: App, ctx: Context): void {
  const { members } = ctx.rooms
  own(app, ctx)
  others(app, ctx)
  for (const path of clientPaths('/joined_rooms')) {
    app.get(path, async ({ requester }) => ({ joined_rooms: await members.joinedRooms(requester.userId) }))
  }
}

function own(app: App, { rooms: { members } }: Context): void {
  for (const path of clientPaths('/join/:roomIdOrAlias')) {
    app.post(
      path,
      { schema: anywhereSchema, config: { guests: true, notSuspended: true } },
      async ({ requester, params, query, body }) => {
        refuseThirdParty(body)
        const wish = { via: serversIn(query), more: joinContent(body) }
        return { room_id: await members.join(requester, checkedRoom(params.roomIdOrAlias), wish) }
      },
    )
  }
  for (const path of clientPaths('/rooms/:roomId/join')) {
    app.post(
      path,
      { schema: ownSchema, config: { guests: true, notSuspended: true } },
      async ({ requester, params, body }) => {
        refuseThirdParty(body)
        return { room_id: await members.join(requester, checkedRoomId(params.roomId), { more: joinContent(body) }) }
      },
    )
  }
  for (const path of clientPaths('/knock/:roomIdOrAlias')) {
    app.post(path, { schema: anywhereSchema, ...notSuspended }, async ({ requester, params, query, body }) => {
      const wish = { via: serversIn(query), more: reasonIn(body) }
      return { room_id: await members.knock(requester.userId, checkedRoom(params.roomIdOrAlias), wish) }
    })
  }
  for (const path of clientPaths('/rooms/:roomId/leave')) {
    app.post(path, { schema: ownSchema, ...guests }, async ({ requester, params, body }) => {
      await members.leave(requester.userId, checkedRoomId(params.roomId), reasonIn(body))
      return {}
    })
  }
  for (const path of clientPaths('/rooms/:roomId/forget')) {
    app.post(path, { schema: ownSchema }, async ({ requester, params }) => {
      await members.forget(requester.userId, checkedRoomId(params.roomId))
      return {}
    })
  }
}

function others(app: App, { rooms: { members } }: Context): void {
  for (const path of clientPaths('/rooms/:roomId/invite')) {
    app.post(path, { schema: otherSchema, ...notSuspended }, async ({ requester, params, body }) => {
      if (body.user_id === undefined && body.address !== undefined) throw noThirdParty()
      const invitation = { sender: requester.userId, target: targetIn(body), more: reasonIn(body) }
      await members.invite(checkedRoomId(params.roomId), invitation)
      return {}
    })
  }
  for (const removal of ['kick', 'ban', 'unban'] as const) {
    for (const path of clientPaths(`/rooms/:roomId/${removal}`)) {
      app.post(path, { schema: otherSchema, ...notSuspended }, async ({ requester, params, body }) => {
        const who = { sender: requester.userId, target: targetIn(body), more: reasonIn(body) }
        await members.remove(removal, checkedRoomId(params.roomId), who)
        return {}
      })
    }
  }
}

const reasonIn = (body: { reason?: string | null } | null | undefined) =>
  typeof body?.reason === 'string' ? { reason: body.reason } : {}

/**
 * What a client wants its membership event to have: the body, without what is not for it to say. As it could be said in the
 * state event itself.
 */
function joinContent(body: object | null | undefined): JsonObject {
  const {
    reason: _,
    third_party_signed: __,
    join_authorised_via_users_server: ___,
    ...more
  } = (body ?? {}) as JsonObject
  return { ...more, ...reasonIn(body) }
}

function targetIn({ user_id: userId }: { user_id?: string }): UserId {
  if (userId === undefined) throw missingParam('user_id is missing')
  if (!isUserId(userId)) throw invalidParam('user_id is no user ID')
  return userId
}

function checkedRoom(room: string): RoomId | RoomAlias {
  if (!isRoomIdOrAlias(room)) throw invalidParam('This is neither a room ID nor an alias')
  return room
}

type Named = string | string[] | undefined

/** Under its name of today, or the one before. */
function serversIn({ via, server_name: serverName }: { via?: Named; server_name?: Named }): ServerName[] {
  return [via ?? serverName ?? []].flat().filter(isServerName).slice(0, MAX_SERVERS)
}

function refuseThirdParty(body: { third_party_signed?: unknown } | null | undefined): void {
  if (body?.third_party_signed !== undefined) throw noThirdParty()
}

const noThirdParty = () =>
  new MatrixError(403, 'M_THREEPID_DENIED', 'This server knows no invitations by e-mail or phone')
