import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { notFound } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { optionalBody } from '../optional-body.ts'
import { plainText } from '../plain-text.ts'
import { requireAuth } from '../uia.ts'
import { clientPaths } from './versions-of.ts'

const MAX_NAME_LENGTH = 255
const params = Type.Object({ deviceId: Type.String() })
const auth = Type.Optional(Type.Unknown())
const renameSchema = {
  params,
  body: Type.Object({ display_name: Type.Optional(plainText(MAX_NAME_LENGTH)) }),
}
const deleteSchema = { params, body: optionalBody(Type.Object({ auth })) }
const deleteManySchema = {
  body: Type.Object({ devices: Type.Array(Type.String(), { maxItems: 1_000 }), auth }),
}

/** A user's own devices. Client-server API, "Device Management". */
export function deviceManagement(app: App, ctx: Context): void {
  for (const path of clientPaths('/devices')) {
    app.get(path, async (request) => ({ devices: await ctx.devices.own.list(request.requester.userId) }))
  }
  for (const path of clientPaths('/devices/:deviceId')) {
    app.get(path, { schema: { params } }, async (request) => {
      const device = await ctx.devices.own.get(request.requester.userId, request.params.deviceId)
      if (!device) throw notFound('No such device')
      return device
    })
    app.put(path, { schema: renameSchema }, async (request) => {
      const { userId } = request.requester
      const { display_name: name } = request.body
      const { deviceId } = request.params
      const found =
        name === undefined
          ? (await ctx.devices.own.get(userId, deviceId)) !== undefined
          : await ctx.devices.own.rename(userId, deviceId, name)
      if (!found) throw notFound('No such device')
      return {}
    })
    app.delete(path, { schema: deleteSchema }, async (request) => {
      await requireAuth(ctx, request, request.body?.auth)
      await ctx.devices.own.delete(request.requester.userId, [request.params.deviceId])
      return {}
    })
  }
  for (const path of clientPaths('/delete_devices')) {
    app.post(path, { schema: deleteManySchema }, async (request) => {
      await requireAuth(ctx, request, request.body.auth)
      await ctx.devices.own.delete(request.requester.userId, request.body.devices)
      return {}
    })
  }
}
