import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { invalidParam, MatrixError } from '../../matrix/errors.ts'
import { isUserId, type UserId } from '../../matrix/ids.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const profileSchema = { params: Type.Object({ userId: Type.String() }) }
const fieldSchema = { params: Type.Object({ userId: Type.String(), keyName: Type.String() }) }
const changing = { guests: true, notSuspended: true }
const changeSchema = { ...fieldSchema, body: Type.Object({}) }

/** Client-server API, "Profiles". */
export function profile(app: App, ctx: Context): void {
  for (const path of clientPaths('/profile/:userId')) {
    app.get(path, { schema: profileSchema, config: { public: true, costs: 'profile' } }, async ({ params }) =>
      Object.fromEntries(await ctx.users.profile(checkedUserId(params.userId))),
    )

    const field = `${path}/:keyName`
    app.get(
      field,
      { schema: fieldSchema, config: { public: true, costs: 'profile' } },
      async ({ params: { userId, keyName } }) => ({
        [keyName]: await ctx.users.profileField(checkedUserId(userId), keyName),
      }),
    )

    app.put(
      field,
      { schema: changeSchema, config: changing },
      async ({ requester, params: { userId, keyName }, body }) => {
        requireFullAccount(requester, keyName)
        await ctx.users.setProfileField(requester.userId, checkedUserId(userId), keyName, body)
        return {}
      },
    )

    app.delete(
      field,
      { schema: fieldSchema, config: { ...changing, ignoreBody: true } },
      async ({ requester, params }) => {
        requireFullAccount(requester, params.keyName)
        await ctx.users.removeProfileField(requester.userId, checkedUserId(params.userId), params.keyName)
        return {}
      },
    )
  }
}

/** Guests have a name, and nothing else. Client-server API, "Guest Access". */
function requireFullAccount({ isGuest }: { isGuest: boolean }, keyName: string): void {
  if (isGuest && keyName !== 'displayname') {
    throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests can set nothing but their name')
  }
}

function checkedUserId(userId: string): UserId {
  if (!isUserId(userId)) throw invalidParam('This is not a user ID')
  return userId
}
