import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import type { Membership } from '../../storage/room-tables.ts'
import type { App } from '../app.ts'
import { checkedRoomId } from './room-send.ts'
import { clientPaths } from './versions-of.ts'

const text = Type.Optional(Type.String())
const params = Type.Object({ roomId: Type.String() })
const membersSchema = { params, querystring: Type.Object({ at: text, membership: text, not_membership: text }) }
const MEMBERSHIPS: readonly Membership[] = ['join', 'invite', 'knock', 'leave', 'ban']

/** Who is in a room. Client-server API, "Getting events for a room". */
export function roomMembers(app: App, ctx: Context): void {
  for (const path of clientPaths('/rooms/:roomId/members')) {
    app.get(path, { schema: membersSchema, config: { guests: true } }, async ({ requester, params, query }) => ({
      chunk: await ctx.rooms.reading.members(requester, checkedRoomId(params.roomId), {
        at: query.at || undefined,
        membership: membershipOf(query.membership, 'membership'),
        notMembership: membershipOf(query.not_membership, 'not_membership'),
      }),
    }))
  }

  for (const path of clientPaths('/rooms/:roomId/joined_members')) {
    app.get(path, { schema: { params } }, async ({ requester, params }) => ({
      joined: await ctx.rooms.reading.joinedMembers(requester, checkedRoomId(params.roomId)),
    }))
  }
}

function membershipOf(value: string | undefined, name: string): Membership | undefined {
  if (value === undefined) return undefined
  const known = MEMBERSHIPS.find((one) => one === value)
  if (!known) throw invalidParam(`${name} is not a membership`)
  return known
}
