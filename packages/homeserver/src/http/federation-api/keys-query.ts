import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { KeyCriteria } from '../../federation/notary.ts'
import { badJson, invalidParam } from '../../matrix/errors.ts'
import { isServerName, type ServerName } from '../../matrix/ids.ts'
import type { App } from '../app.ts'

/** Servers, and keys of one server, that one request may ask for. */
const MAX_SERVERS = 100
const MAX_KEYS = 100

const criteria = Type.Object({ minimum_valid_until_ts: Type.Optional(Type.Integer()) })
const schema = {
  body: Type.Object({
    server_keys: Type.Record(Type.String(), Type.Record(Type.String(), criteria, { maxProperties: MAX_KEYS }), {
      maxProperties: MAX_SERVERS,
    }),
  }),
}
const getSchema = {
  params: Type.Object({ serverName: Type.String(), keyId: Type.Optional(Type.String()) }),
  querystring: Type.Object({ minimum_valid_until_ts: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$' })) }),
}
const config = { public: true, costs: 'strangers' } as const

/** `/_matrix/key/v2/query`: this server as a notary. Server-server API, "Querying Keys Through Another Server". */
export function keysQuery(app: App, ctx: Context): void {
  app.post('/_matrix/key/v2/query', { schema, config }, async ({ body }) => {
    const now = ctx.clock.now()
    const asked = Object.entries(body.server_keys).map(([name, keys]): [ServerName, KeyCriteria] => {
      if (!isServerName(name)) throw badJson(`${name} is not a server name`)
      const wanted = Object.entries(keys).map(([keyId, one]) => [keyId, one.minimum_valid_until_ts ?? now] as const)
      return [name, new Map(wanted)]
    })
    return { server_keys: await ctx.federation.notary(new Map(asked)) }
  })

  for (const path of ['/_matrix/key/v2/query/:serverName', '/_matrix/key/v2/query/:serverName/:keyId']) {
    app.get(path, { schema: getSchema, config }, async ({ params: { serverName, keyId }, query }) => {
      if (!isServerName(serverName)) throw invalidParam('This is not a server name')
      const until = Number(query.minimum_valid_until_ts ?? ctx.clock.now())
      const keys: KeyCriteria = new Map(keyId === undefined ? [] : [[keyId, until]])
      return { server_keys: await ctx.federation.notary(new Map([[serverName, keys]])) }
    })
  }
}
