import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { readClaims } from '../../devices/claim.ts'
import { readKeyQuery } from '../../devices/query.ts'
import { badJson, invalidParam } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

/** What a client gets that does not say how long to wait for other servers, and the most it may say (ms). */
const DEFAULT_WAIT_MS = 10_000
const MAX_WAIT_MS = 30_000

const config = { costs: 'keys' } as const
const any = Type.Optional(Type.Unknown())
const timeout = Type.Optional(Type.Number({ minimum: 0 }))
const uploadSchema = { body: Type.Object({ device_keys: any, one_time_keys: any, fallback_keys: any }) }
const querySchema = { body: Type.Object({ device_keys: Type.Unknown(), timeout }) }
const claimSchema = { body: Type.Object({ one_time_keys: Type.Unknown(), timeout }) }

/** Keys of devices. Client-server API, "Key management API"; `GET /keys/changes` stands beside `/sync`. */
export function keys(app: App, ctx: Context): void {
  for (const path of [...clientPaths('/keys/upload'), ...clientPaths('/keys/upload/:deviceId')]) {
    app.post(path, { schema: uploadSchema, config }, async (request) => {
      const { userId, deviceId } = request.requester
      const named = (request.params as { deviceId?: string }).deviceId
      if (named !== undefined && named !== deviceId) throw invalidParam('Keys are uploaded by their own device')
      return { one_time_key_counts: await ctx.devices.keys.upload(userId, deviceId, request.body) }
    })
  }
  for (const path of clientPaths('/keys/query')) {
    app.post(path, { schema: querySchema, config }, async (request, reply) => {
      const asked = readKeyQuery(request.body.device_keys)
      if (!asked) throw badJson('device_keys is not an object of users with lists of devices, or has too many')
      const answer = await ctx.devices.keys.query(request.requester.userId, asked, waitOf(request.body.timeout))
      return reply.type('application/json').send(answer)
    })
  }
  for (const path of clientPaths('/keys/claim')) {
    app.post(path, { schema: claimSchema, config }, async (request) => {
      const claims = readClaims(request.body.one_time_keys)
      if (!claims) throw badJson('one_time_keys is not an object of users with devices and algorithms')
      return ctx.devices.keys.claim(claims, waitOf(request.body.timeout))
    })
  }
}

const waitOf = (timeoutMs: number | undefined) => Math.min(timeoutMs ?? DEFAULT_WAIT_MS, MAX_WAIT_MS)
