import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { readClaims } from '../../devices/claim.ts'
import { readKeyQuery } from '../../devices/query.ts'
import { badJson } from '../../matrix/errors.ts'
import { serverNameOf } from '../../matrix/ids.ts'
import type { App } from '../app.ts'

const querySchema = { body: Type.Object({ device_keys: Type.Unknown() }) }
const claimSchema = { body: Type.Object({ one_time_keys: Type.Unknown() }) }

/** Keys of our users, for other servers. Server-server API, "End-to-End Encryption". */
export function userKeys(app: App, ctx: Context): void {
  const { serverName } = ctx.settings
  app.post('/_matrix/federation/v1/user/keys/query', { schema: querySchema }, async (request, reply) => {
    const asked = readKeyQuery(request.body.device_keys)
    if (!asked) throw badJson('device_keys is not an object of users with lists of devices, or has too many')
    const ours = new Map([...asked].filter(([userId]) => serverNameOf(userId) === serverName))
    return reply.type('application/json').send(await ctx.devices.keys.queryForServer(ours))
  })
  app.post('/_matrix/federation/v1/user/keys/claim', { schema: claimSchema }, async (request) => {
    const claims = readClaims(request.body.one_time_keys, serverName)
    if (!claims) throw badJson('one_time_keys is not an object of users with devices and algorithms')
    return { one_time_keys: await ctx.devices.keys.claimLocal(claims) }
  })
}
