import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { Backup, Part, Sessions } from '../../key-backup/key-backup.ts'
import { invalidParam } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'
import { clientPaths } from './versions-of.ts'

/** Clients upload a few hundred sessions at a time. */
const BODY_LIMIT = 10 * 1024 * 1024

const params = Type.Object({ version: Type.String() })
const backup = { algorithm: plainText(255), auth_data: Type.Union([Type.Object({}), Type.String()]) }
const createSchema = { body: Type.Object(backup) }
const versionSchema = { params }
const updateSchema = { params, body: Type.Object({ ...backup, version: Type.Optional(Type.String()) }) }
const keysSchema = {
  params: Type.Object({ roomId: Type.Optional(plainText(255)), sessionId: Type.Optional(plainText(255)) }),
  querystring: Type.Object({ version: Type.String() }),
}
const putSchema = { ...keysSchema, body: Type.Object({}) }

/** Client-server API, "Server-side key backups". */
export function keyBackup(app: App, ctx: Context): void {
  for (const path of clientPaths('/room_keys/version')) {
    app.post(path, { schema: createSchema }, async ({ requester, body }) => {
      const { algorithm, auth_data: authData } = body
      return { version: await ctx.keyBackup.create(requester.userId, { algorithm, authData }) }
    })
    app.get(path, async ({ requester }) => described(await ctx.keyBackup.get(requester.userId)))

    const one = `${path}/:version`
    app.get(one, { schema: versionSchema }, async ({ requester, params }) =>
      described(await ctx.keyBackup.get(requester.userId, params.version)),
    )
    app.put(one, { schema: updateSchema }, async ({ requester, params, body }) => {
      const { algorithm, auth_data: authData, version = params.version } = body
      if (version !== params.version) throw invalidParam('The version in the body is another')
      await ctx.keyBackup.update(requester.userId, version, { algorithm, authData })
      return {}
    })
    app.delete(one, { schema: versionSchema, config: { ignoreBody: true } }, async ({ requester, params }) => {
      await ctx.keyBackup.delete(requester.userId, params.version)
      return {}
    })
  }

  for (const path of ['', '/:roomId', '/:roomId/:sessionId'].flatMap((end) => clientPaths(`/room_keys/keys${end}`))) {
    app.put(path, { schema: putSchema, bodyLimit: BODY_LIMIT }, async ({ requester, params, query, body }) =>
      ctx.keyBackup.putSessions(requester.userId, query.version, params, body),
    )
    app.get(path, { schema: keysSchema }, async ({ requester, params, query }) =>
      answerOf(params, await ctx.keyBackup.sessions(requester.userId, query.version, params)),
    )
    app.delete(path, { schema: keysSchema, config: { ignoreBody: true } }, async ({ requester, params, query }) =>
      ctx.keyBackup.deleteSessions(requester.userId, query.version, params),
    )
  }
}

function described({ version, algorithm, authData, count, etag }: Backup): object {
  return { version, algorithm, auth_data: JSON.parse(authData), count, etag }
}

function answerOf({ roomId, sessionId }: Part, sessions: Sessions): object {
  const room = (id: string) => ({ sessions: Object.fromEntries(sessions.get(id) ?? []) })
  if (roomId === undefined) return { rooms: Object.fromEntries([...sessions.keys()].map((id) => [id, room(id)])) }
  return sessionId === undefined ? room(roomId) : sessions.get(roomId)!.get(sessionId)!
}
