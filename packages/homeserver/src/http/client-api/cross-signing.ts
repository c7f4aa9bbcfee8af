import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { MAX_SIGNED_KEYS } from '../../devices/signatures.ts'
import { badJson } from '../../matrix/errors.ts'
import { entriesOf } from '../../matrix/json.ts'
import type { App } from '../app.ts'
import { requireAuth } from '../uia.ts'
import { clientPaths } from './versions-of.ts'

const any = Type.Optional(Type.Unknown())
const uploadSchema = {
  body: Type.Object({ master_key: any, self_signing_key: any, user_signing_key: any, auth: any }),
}
const signaturesSchema = { body: Type.Record(Type.String(), Type.Record(Type.String(), Type.Unknown())) }

/** As they were before they were released, which some clients still ask for. */
const paths = (path: string) => [...clientPaths(path), `/_matrix/client/unstable${path}`]

/** Client-server API, "Cross-signing". */
export function crossSigning(app: App, ctx: Context): void {
  for (const path of paths('/keys/device_signing/upload')) {
    app.post(path, { schema: uploadSchema }, async (request) => {
      const { userId } = request.requester
      if ((await ctx.devices.crossSigning.upload(userId, request.body, false)) === 'needs confirmation') {
        await requireAuth(ctx, request, request.body.auth)
        await ctx.devices.crossSigning.upload(userId, request.body, true)
      }
      return {}
    })
  }
  for (const path of paths('/keys/signatures/upload')) {
    app.post(path, { schema: signaturesSchema }, async (request) => {
      const count = entriesOf(request.body).reduce((sum, [, keys]) => sum + entriesOf(keys).length, 0)
      if (count > MAX_SIGNED_KEYS) throw badJson(`More than ${MAX_SIGNED_KEYS} keys at a time`)
      return { failures: await ctx.devices.signatures.upload(request.requester.userId, request.body) }
    })
  }
}
