import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam } from '../../matrix/errors.ts'
import { isNewLocalpart, isUserId, localpartOf, type UserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { clientPaths } from './versions-of.ts'

const DEFAULT_LIMIT = 10
const MAX_LIMIT = 50

const searchSchema = {
  body: Type.Object({ search_term: plainText(1_000), limit: Type.Optional(Type.Integer({ minimum: 0 })) }),
}
const text = Type.Optional(Type.String())
const mutualSchema = { querystring: Type.Object({ user_id: text, from: text }) }

/** Client-server API, "User directory", "Mutual rooms". */
export function userDirectory(app: App, ctx: Context): void {
  const { userDirectory } = ctx.rooms
  for (const path of clientPaths('/user_directory/search')) {
    app.post(path, { schema: searchSchema, config: { costs: 'profile' } }, async ({ requester, body }) => {
      const limit = Math.min(body.limit ?? DEFAULT_LIMIT, MAX_LIMIT)
      const { users, limited } = await userDirectory.search(requester.userId, body.search_term, limit)
      const results = users.map(({ userId, displayName, avatarUrl }) => ({
        user_id: userId,
        ...(displayName !== null && { display_name: displayName }),
        ...(avatarUrl !== null && { avatar_url: avatarUrl }),
      }))
      return { results, limited }
    })
  }

  app.get('/_matrix/client/v1/mutual_rooms', { schema: mutualSchema }, async ({ requester, query }) => {
    const other = otherUser(query.user_id, requester.userId)
    const after = query.from === undefined ? '' : Buffer.from(query.from, 'base64url').toString('utf8')
    if (query.from !== undefined && !/^![^\0]+$/.test(after)) throw invalidParam('from is not a token of this server')
    const { roomIds, count, isLast } = await userDirectory.mutualRooms(requester.userId, other, after)
    const next = isLast ? {} : { next_batch: Buffer.from(roomIds.at(-1)!).toString('base64url') }
    return { joined: roomIds, count, ...next }
  })
}

function otherUser(userId: string | undefined, own: UserId): UserId {
  if (!isUserId(userId) || !isNewLocalpart(localpartOf(userId))) throw invalidParam('user_id is not a user ID')
  if (userId === own) throw invalidParam('user_id is your own')
  return userId
}
