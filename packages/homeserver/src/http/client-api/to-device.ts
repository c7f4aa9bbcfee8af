import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { badJson } from '../../matrix/errors.ts'
import { readMessages } from '../../to-device/to-device.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const schema = {
  params: Type.Object({ eventType: Type.String({ maxLength: 255 }), txnId: Type.String({ maxLength: 255 }) }),
  body: Type.Object({ messages: Type.Unknown() }),
}

/** Client-server API, "Send-to-Device messaging". */
export function toDevice(app: App, ctx: Context): void {
  for (const path of clientPaths('/sendToDevice/:eventType/:txnId')) {
    app.put(path, { schema }, async (request) => {
      const messages = readMessages(request.body.messages)
      if (!messages) throw badJson('messages is not an object of users with devices and contents, or has too many')
      const { eventType, txnId } = request.params
      await ctx.toDevice.send(request.requester, eventType, txnId, messages)
      return {}
    })
  }
}
