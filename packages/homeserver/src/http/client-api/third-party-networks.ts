import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { notFound } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const schema = { params: Type.Object({ protocol: Type.Optional(Type.String()) }) }
const LOOK_UPS = ['/protocol/:protocol', '/location/:protocol', '/user/:protocol', '/location', '/user']

/** Client-server API, "Third-party Networks": there is no bridge to any, which is what clients ask for. */
export function thirdPartyNetworks(app: App, _ctx: Context): void {
  for (const path of clientPaths('/thirdparty/protocols')) app.get(path, async () => ({}))
  for (const path of LOOK_UPS.flatMap((end) => clientPaths(`/thirdparty${end}`))) {
    app.get(path, { schema }, async () => {
      throw notFound('There is no bridge to third-party networks')
    })
  }
}
